// What stands around the code is true: links and paths lead somewhere, commands exist, the workflow runs every line of
// Node, a release is whole.

import { existsSync, readdirSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { releaseFaults } from "../../scripts/release.ts";
import { assert, suite } from "../harness.ts";
import { RULES } from "../imports.ts";

const root = fileURLToPath(new URL("../..", import.meta.url));
const read = (file: string): string => readFileSync(join(root, file), "utf8");
const within = (folder: string, ending: RegExp): string[] =>
  readdirSync(join(root, folder), { recursive: true, encoding: "utf8" })
    .filter((file) => ending.test(file))
    .map((file) => join(folder, file));

const PAGES = [
  ...readdirSync(root).filter((file) => file.endsWith(".md")),
  ...["docs", "bench"].flatMap((folder) => within(folder, /^(?!.*node_modules).*\.md$/)),
  ...within(".github", /\.(md|yml)$/),
];
const WORKFLOW = read(".github/workflows/ci.yml");
const { scripts, engines } = JSON.parse(read("package.json")) as {
  scripts: Record<string, string>;
  engines: { node: string };
};

const test = suite("papers");

test("links of pages lead somewhere", () => {
  const dead = PAGES.flatMap((page) =>
    [...read(page).matchAll(/\]\((?!\w+:)([^)#\s]+)[^)]*\)/g)]
      .filter(([, target = ""]) => !existsSync(join(root, dirname(page), target)))
      .map(([, target]) => `${page}: ${target}`),
  );
  assert.equal(dead, []);
});

test("commands that pages name exist", () => {
  const named = PAGES.flatMap((page) =>
    [...read(page).matchAll(/\bnpm (?:run ([\w:-]+)|(test|start))\b/g)].map(
      (found) => `${page}: ${found[1] ?? found[2]}`,
    ),
  );
  assert.ok(named.length > 20, `only ${named.length} commands found`);
  assert.equal(
    named.filter((text) => !((text.split(": ")[1] ?? "") in scripts)),
    [],
  );
});

test("paths that pages for developers name exist", () => {
  const path = new RegExp(`\`((?:${Object.keys(RULES).join("|")})/[\\w./-]+)\``, "g");
  const missing = ["README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "SECURITY.md"].flatMap((page) =>
    [...read(page).matchAll(path)]
      .filter(([, file = ""]) => !existsSync(join(root, file)))
      .map(([text]) => `${page}: ${text}`),
  );
  assert.equal(missing, []);
});

test("the workflow runs every line of Node that package.json names, and the newest", () => {
  const lines = [...engines.node.matchAll(/[\^=](\d+)\./g)].map(([, major]) => Number(major));
  const matrices = [...WORKFLOW.matchAll(/node: \[(.*)\]/g)].map(([, list = ""]) => list.split(",").map(Number));
  assert.is(matrices.length, 2);
  for (const majors of matrices) {
    assert.ok(lines.length > 1 && lines.every((major) => majors.includes(major)), `${majors} for ${engines.node}`);
    assert.ok(Math.max(...majors) > Math.max(...lines), `${majors}`);
  }
});

const release = suite("release");
const PACKAGE = { version: "1.2.0", repository: "a", homepage: "b", bugs: "c" };
const CHANGELOG =
  "# Changelog\n\n## Unreleased\n\n## 1.2.0 - 2026-01-31\n\n### Upgrading\n\n- Nothing to do.\n\n## 1.1.0 - 2026-01-01\n\n- x\n";

release("one with a dated section, a note for upgrading and addresses may go out", () => {
  assert.equal(releaseFaults(JSON.stringify(PACKAGE), CHANGELOG), []);
});

release("what is missing is named, one by one", () => {
  const faults = (fields: object, changelog = CHANGELOG) =>
    releaseFaults(JSON.stringify({ ...PACKAGE, ...fields }), changelog).join("; ");
  assert.is(faults({ homepage: undefined }), "package.json has no homepage. Run: npm pkg set homepage=ADDRESS");
  assert.is(faults({ version: "2.0.0" }), "CHANGELOG.md has no section of 2.0.0");
  assert.is(
    faults({}, CHANGELOG.replace("- Nothing to do.\n", "")),
    'CHANGELOG.md: 1.2.0 says nothing under "### Upgrading"',
  );
  assert.is(faults({}, CHANGELOG.replace(" - 2026-01-31", "")), "CHANGELOG.md: the section of 1.2.0 has no date");
  assert.is(
    faults({}, CHANGELOG.replace("Unreleased\n", "Unreleased\n\n- New.\n")),
    'CHANGELOG.md: what stands under Unreleased belongs into a section "## 1.2.0 - YEAR-MONTH-DAY"',
  );
});
