// Pieces of HTML text. Bodies are HTML already; everything else is text and becomes safe here.

import { STYLE } from "./page-style.ts";

const ENTITIES: Readonly<Record<string, string>> = { "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;" };

/** Text that may stand in HTML, also within quotes. */
export const escapeHtml = (text: string): string => text.replace(/[&<>"]/g, (c) => ENTITIES[c]!);

/** A whole page, which holds all that it shows: it can be mailed. `brand` stands above its title. */
export const page = (parts: {
  readonly title: string;
  readonly brand: string;
  readonly header: string;
  readonly body: string;
}): string => `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>sortie: ${escapeHtml(parts.title)}</title>
<style>${STYLE}</style>
</head>
<body>
<header>
<p class="brand">${escapeHtml(parts.brand)}</p>
<h1>${escapeHtml(parts.title)}</h1>
${parts.header}
</header>
${parts.body}
</body>
</html>
`;

/** A section with its heading, a paragraph of HTML, and what follows it. */
export const section = (title: string, text: string, body = ""): string =>
  `<section>\n<h2>${escapeHtml(title)}</h2>\n${text && `<p>${text}</p>\n`}${body}\n</section>`;

/** A drawn plot. */
export const figure = (svg: string): string => `<div class="plot">${svg}</div>`;

/** Things beside each other, as far as there is room. */
export const row = (...parts: readonly string[]): string => `<div class="row">${parts.join("")}</div>`;

/** Plots in columns of one width: two, or three if they are small. */
export const figures = (svgs: readonly string[], size: "halves" | "thirds" = "halves"): string =>
  `<div class="${size}">${svgs.map(figure).join("")}</div>`;

/** A table of text, which scrolls on a narrow screen; a head of empty cells is left out. */
export function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const cells = (texts: readonly string[], tag: string) =>
    texts.map((text) => `<${tag}>${escapeHtml(text)}</${tag}>`).join("");
  const top = head.some((text) => text !== "") ? `<thead><tr>${cells(head, "th")}</tr></thead>` : "";
  return `<div class="scroll"><table>${top}<tbody>${rows.map((texts) => `<tr>${cells(texts, "td")}</tr>`).join("")}</tbody></table></div>`;
}
