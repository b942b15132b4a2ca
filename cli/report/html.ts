// Pieces of HTML text. Bodies are HTML already; everything else is text and becomes safe here.

import { createHash } from "node:crypto";
import { STYLE } from "./page-style.ts";

const ENTITIES: Readonly<Record<string, string>> = { "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;" };

/** Text that may stand in HTML, also within quotes. */
export const escapeHtml = (text: string): string => text.replace(/[&<>"]/g, (c) => ENTITIES[c] ?? c);

/** Nothing is loaded from anywhere, and no script runs; pictures and the one sheet are in the page. */
const POLICY = `default-src 'none'; img-src data:; style-src 'sha256-${createHash("sha256").update(STYLE).digest("base64")}'; base-uri 'none'; form-action 'none'`;

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
<meta http-equiv="Content-Security-Policy" content="${POLICY}">
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
<main>
${parts.body}
</main>
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

/**
 * A table of text, which scrolls on a narrow screen, by the keyboard too; a head of empty cells is left out. The first
 * cell of a row is its name.
 */
export function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const cell = (tag: string) => (text: string) => `<${tag}>${escapeHtml(text)}</${tag.slice(0, 2)}>`;
  const column = (text: string) => (text === "" ? "<td></td>" : cell('th scope="col"')(text));
  const line = ([name = "", ...rest]: readonly string[]) =>
    `<tr>${cell('th scope="row"')(name)}${rest.map(cell("td")).join("")}</tr>`;
  const hasHead = head.some((text) => text !== "");
  const top = hasHead ? `<thead><tr>${head.map(column).join("")}</tr></thead>` : "";
  const label = escapeHtml(hasHead ? `table: ${head.filter((text) => text !== "").join(", ")}` : "table");
  return `<div class="scroll" tabindex="0" role="group" aria-label="${label}"><table>${top}<tbody>${rows.map(line).join("")}</tbody></table></div>`;
}
