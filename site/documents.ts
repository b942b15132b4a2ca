// The documents of the repository that are pages of the site as they stand, and where links to files lead there.

import { existsSync, readdirSync, readFileSync } from "node:fs";
import { posix } from "node:path";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("..", import.meta.url));

/** A file of the repository that is a page. */
export interface Document {
  /** From the root of the repository. */
  readonly file: string;
  /** Address in the site, without its beginning slash. */
  readonly page: string;
  readonly title: string;
}

/** The text of a file of the repository. */
export const textOf = (file: string): string => readFileSync(`${root}${file}`, "utf8");

const document = (file: string, page: string, title?: string): Document => ({
  file,
  page,
  title: title ?? /^# (.+)$/m.exec(textOf(file))?.[1] ?? page,
});

/** What measurements and checks left: every page of `bench/results`. */
export const RESULTS: readonly Document[] = readdirSync(`${root}bench/results`)
  .filter((file) => file.endsWith(".md"))
  .map((file) => document(`bench/results/${file}`, `results/${file.slice(0, -".md".length)}`));

/** All of them. */
export const DOCUMENTS: readonly Document[] = [
  document("README.md", "tutorial", "Tutorial"),
  document("examples/README.md", "examples"),
  document("examples/serve/README.md", "serve"),
  document("docs/dtypes.md", "dtypes"),
  document("ARCHITECTURE.md", "architecture"),
  document("CONTRIBUTING.md", "contributing"),
  document("CHANGELOG.md", "changelog"),
  ...RESULTS,
];

/** A link that has a scheme, begins at the site's root, or stays on its page. */
export const isComplete = (link: string): boolean => /^([a-z]+:|\/|#)/.test(link);

/** The file or folder of the repository that a link of a document means. */
const fileOf = (link: string, file: string): string => posix.join(posix.dirname(file), link.replace(/#.*/, ""));

/**
 * Where a link of a document leads in the site: to the page that its file is, or its folder's README; an address
 * elsewhere as it is; undefined for a file that is no page.
 *
 * @param link as it stands in the document
 * @param file the document, from the root of the repository
 * @throws Error for a link to a file that is not there
 */
export function siteLink(link: string, file: string): string | undefined {
  if (isComplete(link)) return link;
  const target = fileOf(link, file);
  if (!existsSync(`${root}${target}`)) throw new Error(`${file}: links to ${link}, which is not there`);
  if (target === "bench/results") return "/results/";
  const found = DOCUMENTS.find((one) => one.file === target || one.file === `${target}/README.md`);
  return found && `/${found.page}${/#.*/.exec(link)?.[0] ?? ""}`;
}

/** A document's text as a page: links lead to pages, pictures to their files, and what is no page is named. */
export function pageText(document: Document): string {
  return textOf(document.file)
    .split(/(^```[\s\S]*?^```$)/m)
    .map((part) => (part.startsWith("```") ? part : withSiteLinks(part, document)))
    .join("");
}

/** Markdown without blocks of code, its links turned to the site's. */
function withSiteLinks(text: string, { file, page }: Document): string {
  return text.replace(/(!?)\[([^\]]*)\]\(([^)\s]+)\)/g, (whole, picture: string, label: string, link: string) => {
    const beside = () => posix.relative(posix.dirname(`site/${page}`), fileOf(link, file));
    if (picture) return isComplete(link) ? whole : `![${label}](${beside()})`;
    const target = siteLink(link, file);
    if (target !== undefined) return `[${label}](${target})`;
    return label === link ? `\`${label}\`` : `${label} (\`${fileOf(link, file)}\`)`;
  });
}

/** Documents as the pages of a folder of the site, by VitePress's dynamic routes. */
export const pathsOf = (documents: readonly Document[]) => ({
  watch: documents.map(({ file }) => `${root}${file}`),
  paths: () => documents.map((one) => ({ params: { page: one.page.replace(/^.*\//, "") }, content: pageText(one) })),
});
