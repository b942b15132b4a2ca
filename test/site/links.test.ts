// Every link of the site leads to a page that it has, and to a heading of that page; every name of the reference that
// is linked is exported.

import { readFileSync } from "node:fs";
import { posix } from "node:path";
import ts from "typescript";
import { Modules } from "../../scripts/exports.ts";
import { DOCUMENTS, pageText, siteLink, textOf } from "../../site/documents.ts";
import { GUIDES } from "../../site/guides.ts";
import { assert, errorOf, suite } from "../harness.ts";
import { linksAndAnchors, PAGES } from "./pages.ts";

const test = suite("links of the site");

const found = new Map(PAGES.map((page) => [page.page, linksAndAnchors(page)]));
const modules = new Modules((file) => readFileSync(new URL(`../../${file}`, import.meta.url), "utf8"));

/** The folder in which typedoc puts what a declaration stands for. */
function folderOf(statement: ts.Statement | undefined): string {
  if (!statement) return "modules";
  if (ts.isClassDeclaration(statement)) return "classes";
  if (ts.isInterfaceDeclaration(statement)) return "interfaces";
  if (ts.isTypeAliasDeclaration(statement)) return "types";
  if (ts.isFunctionDeclaration(statement)) return "functions";
  const [one] = ts.isVariableStatement(statement) ? statement.declarationList.declarations : [];
  const isFunction = one?.initializer && (ts.isArrowFunction(one.initializer) || ts.isCallExpression(one.initializer));
  return isFunction ? "functions" : "variables";
}

/** What is wrong with a link, if anything. */
function fault(link: string, from: string): string | undefined {
  if (/^(https?:|mailto:)/.test(link)) return undefined;
  const [, path = "", hash] = /^([^#]*)(?:#(.*))?$/.exec(link) ?? [];
  if (path === "/lab/index.html" || path === "/reference/index.html") return undefined;
  const [, folder, entry = "", name = ""] = /^\/reference\/(\w+)\/(\w+)\.(\w+)\.html$/.exec(path) ?? [];
  if (folder) {
    const exported = modules.exportsOf(`${entry}/index.ts`).find((one) => one.name === name);
    if (!exported) return `${entry} exports no ${name}`;
    const there = folderOf(exported.declarations[0]);
    return there === folder ? undefined : `${name} is in reference/${there}`;
  }
  const page = path === "" ? from : path.replace(/^\/|\.html$/g, "").replace(/(^|\/)index$/, "$1");
  const target = found.get(page);
  if (!target) return "there is no such page";
  return hash === undefined || hash === "" || target.anchors.has(hash) ? undefined : "the page has no such heading";
}

test("lead to pages and headings that are there", () => {
  assert.ok(PAGES.length > DOCUMENTS.length + GUIDES.length, `${PAGES.length} pages`);
  const faults = PAGES.flatMap(({ page, file }) =>
    (found.get(page)?.links ?? []).flatMap((link) => {
      const wrong = fault(link, page);
      return wrong === undefined ? [] : [`${file}: ${link}: ${wrong}`];
    }),
  );
  assert.equal(faults, []);
});

test("are told where they lead to nothing", () => {
  assert.is(fault("/nowhere", ""), "there is no such page");
  assert.is(fault("/tutorial#nothing", ""), "the page has no such heading");
  assert.is(fault("#nothing", "tutorial"), "the page has no such heading");
  assert.is(fault("/reference/functions/engine.nothing.html", ""), "engine exports no nothing");
  assert.is(fault("/reference/classes/engine.matmul.html", ""), "matmul is in reference/functions");
  assert.is(fault("/tutorial.html#checks", ""), undefined);
});

test("every guide is listed, and has its title", () => {
  const guides = PAGES.filter(({ page }) => /^guides\/./.test(page));
  assert.equal(guides.map(({ page }) => page).sort(), GUIDES.map(({ page }) => page).sort());
  for (const { page, title } of GUIDES) {
    assert.is(guides.find((guide) => guide.page === page)?.text.split("\n")[0], `# ${title}`);
  }
});

test("includes name a part of a document that is marked there: VitePress would take all of it instead", () => {
  const includes = PAGES.flatMap(({ text, file }) =>
    [...text.matchAll(/<!--\s*@include: (\S+?)(?:#([^{\s]+))?(?:\{.*\})?\s*-->/g)].map(([, path = "", part]) => {
      const target = posix.join(posix.dirname(file), path);
      const document = DOCUMENTS.find((one) => one.file === target);
      if (!document) return `${file}: ${target} is no document`;
      const marks = new RegExp(`^<!-- #region ${part} -->$[\\s\\S]*^<!-- #endregion ${part} -->$`, "m");
      return marks.test(textOf(document.file)) ? undefined : `${file}: ${target} marks no ${part}`;
    }),
  );
  assert.ok(includes.length > 0);
  assert.equal(
    includes.filter((fault) => fault !== undefined),
    [],
  );
});

test("of documents become links of the site, or names of files", async () => {
  assert.is(siteLink("bench/results/validity.md", "README.md"), "/results/validity");
  assert.is(siteLink("README.md#checks", "CONTRIBUTING.md"), "/tutorial#checks");
  assert.is(siteLink("../../ARCHITECTURE.md", "examples/serve/README.md"), "/architecture");
  assert.is(siteLink("examples/serve", "README.md"), "/serve");
  assert.is(siteLink("bench/results", "README.md"), "/results/");
  assert.is(siteLink("LICENSE", "README.md"), undefined);
  assert.is(siteLink("https://bullmq.io", "README.md"), "https://bullmq.io");
  const error = await errorOf(() => siteLink("no.md", "README.md"));
  assert.is(error.message, "README.md: links to no.md, which is not there");
});

test("a document keeps its code as it is", () => {
  for (const document of DOCUMENTS) {
    const code = (text: string): string[] => text.match(/^```[\s\S]*?^```$/gm) ?? [];
    assert.equal(code(pageText(document)), code(textOf(document.file)));
  }
});
