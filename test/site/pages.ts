// The pages of the site as VitePress's own renderer makes them of their sources, without building it.

import { readdirSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { createMarkdownRenderer } from "vitepress";
import { DOCUMENTS, pageText, textOf } from "../../site/documents.ts";
import { extendMarkdown } from "../../site/markdown.ts";

const site = fileURLToPath(new URL("../../site/", import.meta.url));

/** A page of the site. */
export interface SitePage {
  /** Address without `.html` and its beginning slash; `guides/` for the index of a folder. */
  readonly page: string;
  /** Its Markdown, and what that is a part of the repository as. */
  readonly text: string;
  readonly file: string;
}

/** All pages: those with their own text, and the documents. */
export const PAGES: readonly SitePage[] = [
  ...readdirSync(site, { recursive: true, encoding: "utf8" })
    .map((path) => path.replaceAll("\\", "/"))
    .filter((path) => path.endsWith(".md") && !/^(lab|\.vitepress)\/|\[/.test(path))
    .map((path) => ({
      page: path.replace(/(index)?\.md$/, ""),
      text: textOf(`site/${path}`),
      file: `site/${path}`,
    })),
  ...DOCUMENTS.map((document) => ({ page: document.page, text: pageText(document), file: document.file })),
];

const renderer = await createMarkdownRenderer(site, { highlight: () => "", config: extendMarkdown });

/** Where a page leads, and what on it others can lead to. */
export function linksAndAnchors({ page, text, file }: SitePage): { links: string[]; anchors: Set<string> } {
  const path = `${page}.md`;
  const [, front = "", body = ""] = /^(?:---\n([\s\S]*?)\n---\n)?([\s\S]*)$/.exec(text) ?? [];
  const html = renderer.render(body, { path: `${site}${path}`, relativePath: path, cleanUrls: false, frontmatter: {} });
  const attribute = (name: string): string[] =>
    [...html.matchAll(new RegExp(`\\s${name}="([^"]*)"`, "g"))].map(([, value = ""]) => value);
  const links = [...attribute("href"), ...[...front.matchAll(/link: (\S+)/g)].map(([, link = ""]) => link)];
  for (const link of links)
    if (/^\.\.?\//.test(link)) throw new Error(`${file}: ${link} must begin at the site's root`);
  return { links, anchors: new Set(attribute("id")) };
}
