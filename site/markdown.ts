// What Markdown means here beyond VitePress: `live` behind a block's language makes it run, and what is included from
// README leads where it should.

import { posix } from "node:path";
import type { MarkdownRenderer } from "vitepress";
import { isComplete, siteLink } from "./documents.ts";

/** Adds both to a renderer. */
export function extendMarkdown(markdown: MarkdownRenderer): void {
  addLiveCode(markdown);
  addIncludedLinks(markdown);
}

/** Puts every block of code with `live` in its head into a `<live-code>`. */
function addLiveCode({ renderer }: MarkdownRenderer): void {
  const plain = renderer.rules.fence;
  if (!plain) throw new Error("live code: Markdown must have a rule for blocks of code.");
  renderer.rules.fence = (tokens, index, options, env, self) => {
    const html = plain(tokens, index, options, env, self);
    return /\blive\b/.test(tokens[index]?.info ?? "") ? `<live-code>${html}</live-code>` : html;
  };
}

/** Pages of their own text link from the root of the site; any other link came with a part of README. */
function addIncludedLinks({ core }: MarkdownRenderer): void {
  core.ruler.push("included-links", ({ tokens, env }) => {
    for (const token of tokens.flatMap(({ children }) => children ?? [])) {
      const name = token.type === "link_open" ? "href" : token.type === "image" ? "src" : undefined;
      const link = name && token.attrGet(name);
      if (!name || !link || isComplete(link) || link.startsWith(".")) continue;
      if (name === "src") {
        const folder = posix.dirname(`site/${(env as { relativePath: string }).relativePath}`);
        token.attrSet(name, posix.relative(folder, link));
      } else token.attrSet(name, siteLink(link, "README.md") ?? "/tutorial");
    }
  });
}
