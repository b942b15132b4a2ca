// The house style holds in the library's folders, and the checker sees each kind of breach.

import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { LIBRARY } from "../scripts/house.ts";
import { wrapComments, wrapMarkdown, wrapped, wrappedFiles } from "../scripts/wrap.ts";
import { assert, suite } from "./harness.ts";
import { styleFaults } from "./style.ts";

const root = fileURLToPath(new URL("..", import.meta.url));

const test = suite("house style");

/** The library's files, by their paths. */
function libraryFiles(): [file: string, text: string][] {
  return LIBRARY.flatMap((folder) =>
    readdirSync(join(root, folder), { recursive: true, encoding: "utf8" })
      .filter((file) => file.endsWith(".ts"))
      .map((file) => `${folder}/${file.replaceAll("\\", "/")}`),
  ).map((file) => [file, readFileSync(join(root, file), "utf8")]);
}

test("the library keeps it", () => {
  const files = libraryFiles();
  assert.ok(files.length > 250, `only ${files.length} files found`);
  assert.equal(
    files.flatMap(([file, text]) => styleFaults(file, text)),
    [],
  );
});

test("an index is asserted by ! and never cast, and nothing else is asserted", () => {
  const good =
    "const a = x[0]!; const b = (x[0] as number | undefined) ?? 1; const c = x as readonly number[]; x[i]! += 1;";
  assert.equal(styleFaults("good.ts", good), []);
  const bad = ["const a = x[0] as number;", "const b = (x[i]) as string;", "const c = map.get(k)!;", "const d = e!.f;"];
  assert.equal(styleFaults("bad.ts", bad.join("\n")), [
    "bad.ts:1: an index is not cast by `as`",
    "bad.ts:2: an index is not cast by `as`",
    "bad.ts:3: `!` stands behind an index only",
    "bad.ts:4: `!` stands behind an index only",
  ]);
});

test("what a function throws stands behind @throws, the error first", () => {
  const good =
    "/** Reads. @throws DataError for a file that is cut off. */\n/**\n * @throws\n * ShapeError or so.\n */";
  assert.equal(styleFaults("cli/good.ts", good), []);
  const bad = "/** Reads. Throws DataError for none. */\n/** Reads. @throws for none. */\n/** @throws the reason. */";
  assert.equal(styleFaults("cli/bad.ts", bad), [
    "cli/bad.ts:1: errors are said by `@throws`",
    "cli/bad.ts:2: `@throws` names the error",
    "cli/bad.ts:3: `@throws` names the error",
  ]);
});

test("comments and Markdown are as wide as code", () => {
  const wrong = wrappedFiles().filter((file) => {
    const text = readFileSync(join(root, file), "utf8");
    return wrapped(file, text) !== text;
  });
  assert.equal(wrong, [], "npm run format wraps them");
});

test("only paragraphs that are too wide are wrapped, by the words, with their mark", () => {
  const words = (n: number) => Array.from({ length: n }, (_, i) => `word${i % 10}`).join(" ");
  const long = words(40);
  const wide = wrapComments("a.ts", `  /** ${long} */\n  // short\n  // ${long}\n  //\n  // kept\n  // as it is`).split(
    "\n",
  );
  assert.ok(
    wide.every((line) => line.length <= 120 && /^ {2}(\/\*\*| \*|\/\/)/.test(line)),
    wide.join("\n"),
  );
  assert.equal(wide.slice(-3), ["  //", "  // kept", "  // as it is"]);
  const generator = `  *programs() {}\n  // ${long}`;
  assert.is(wrapComments("a.ts", generator).split("\n")[0], "  *programs() {}");
  const inText = `const text = \`\n// ${long}\n\`;`;
  assert.is(wrapComments("a.ts", inText), inText);
  const item = wrapMarkdown(`# ${long}\n\n- ${long}\n- short\n\n| ${long} |`).split("\n");
  assert.equal([item[0], item.at(-1)], [`# ${long}`, `| ${long} |`]);
  assert.ok(item.slice(2, -2).every((line) => line.length <= 120 && /^(- | {2})/.test(line)));
  const formula = `  y = ${words(3)}`;
  const around = wrapComments("a.ts", `// ${long}\n// ${formula}\n// ${long}`).split("\n");
  assert.equal(around.indexOf(`// ${formula}`), around.length >> 1, "formulas stay on lines of their own");
  const code = wrapMarkdown(`${words(16)} \`a piece of code stays whole\` ${words(3)}`);
  assert.ok(code.includes("`a piece of code stays whole`"));
});

test("no file holds two sides of a merge", () => {
  const marks = new RegExp(`^(${"<".repeat(7)}|${">".repeat(7)}) `, "m");
  const texts = [
    ...libraryFiles(),
    ...["README.md", "ARCHITECTURE.md", "CHANGELOG.md", "CONTRIBUTING.md"].map(
      (file) => [file, readFileSync(join(root, file), "utf8")] as [string, string],
    ),
  ];
  assert.equal(
    texts.flatMap(([file, text]) => (marks.test(text) ? [file] : [])),
    [],
  );
  assert.ok(marks.test(`${"<".repeat(7)} HEAD`));
});
