// The site: its pages in order, search, and what Markdown means here beyond VitePress.

import { type DefaultTheme, defineConfig } from "vitepress";
import { DOCUMENTS, RESULTS } from "../documents.ts";
import { GUIDES } from "../guides.ts";
import { extendMarkdown } from "../markdown.ts";

const item = ({ page, title }: { page: string; title: string }): DefaultTheme.SidebarItem => ({
  text: title,
  link: `/${page}`,
});
const others = DOCUMENTS.filter((document) => !RESULTS.includes(document));

export default defineConfig({
  title: "sortie",
  description: "Image classifiers that leave early where that is safe, trained and run on WebGPU.",
  lang: "en",
  base: process.env["SITE_BASE"] ?? "/",
  outDir: "../dist-site",
  cacheDir: "../node_modules/.cache/vitepress",
  srcExclude: ["lab/**"],
  cleanUrls: false,
  // The reference and the lab are made beside these pages; test/site/links.test.ts looks after all links.
  ignoreDeadLinks: [/^\/(reference|lab)\//],
  themeConfig: {
    search: { provider: "local" },
    outline: [2, 3],
    nav: [
      { text: "Start", link: "/start" },
      { text: "Guides", link: "/guides/" },
      { text: "Lab", link: "/lab/index.html", target: "_self" },
      { text: "Reference", link: "/reference/index.html", target: "_self" },
      { text: "Results", link: "/results/" },
    ],
    sidebar: [
      { text: "Begin", items: [{ text: "Start: five minutes", link: "/start" }, item(DOCUMENTS[0]!)] },
      { text: "Guides", items: GUIDES.map(item) },
      { text: "Results", items: [{ text: "All results", link: "/results/" }, ...RESULTS.map(item)], collapsed: true },
      { text: "More", items: others.slice(1).map(item), collapsed: true },
    ],
  },
  markdown: { config: extendMarkdown },
  vue: { template: { compilerOptions: { isCustomElement: (tag) => tag === "live-code" } } },
});
