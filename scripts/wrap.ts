// Wraps what the formatter leaves alone, comments and Markdown, at its line width. Only paragraphs with a line that is
// too long change. `npm run format` writes; test/style.test.ts asks whether anything would change.

import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import ts from "typescript";

/** As in biome.json. */
export const WIDTH = 120;

/** Lines of a text without their common mark. */
interface Block {
  /** What stands before every line: `" * "`, `"// "`. */
  readonly mark: string;
  readonly lines: readonly string[];
}

/** Begins an item of a list, or a tag of a docstring: its further lines are indented. */
const ITEM = /^\s*([-*] |\d+\. |@)/;

/** The lines of a block, paragraphs that are too wide wrapped anew; indented lines, formulas for instance, stay. */
function wrapBlock({ mark, lines }: Block): string[] {
  const out: string[] = [];
  let paragraph: string[] = [];
  let isCode = false;
  const end = (): void => {
    out.push(...wrapParagraph(paragraph, mark.length));
    paragraph = [];
  };
  for (const line of lines) {
    if (/^\s*```/.test(line)) isCode = !isCode;
    const isOfItem = ITEM.test(line) || ITEM.test(paragraph[0] ?? "");
    const isFixed =
      isCode || /^\s*(```|\||#|<|$)/.test(line) || /^ {4}/.test(line) || (!isOfItem && /^ {2}/.test(line));
    if (isFixed || ITEM.test(line)) end();
    if (isFixed) out.push(line);
    else paragraph.push(line);
  }
  end();
  return out.map((line) => (mark + line).trimEnd());
}

/** One paragraph, or one item of a list, whose further lines are indented. */
function wrapParagraph(lines: readonly string[], indent: number): readonly string[] {
  if (lines.every((line) => indent + line.length <= WIDTH)) return lines;
  const [first = ""] = lines;
  const start = /^\s*(?:[-*] |\d+\. )?/.exec(first)?.[0] ?? "";
  const hang = lines[1] === undefined ? " ".repeat(start.length) : (/^\s*/.exec(lines[1])?.[0] ?? "");
  // a piece of code is not broken, nor `@throws` from its error
  const words = lines.join(" ").match(/@throws \S+|(?:`[^`]*`|\S)+/g) ?? [];
  const out: string[] = [];
  let line = /^\s*/.exec(start)?.[0] ?? "";
  for (const word of words) {
    const isEmpty = line.trim() === "";
    if (!isEmpty && indent + line.length + 1 + word.length > WIDTH) {
      out.push(line);
      line = hang + word;
    } else line += isEmpty ? word : ` ${word}`;
  }
  return [...out, line];
}

/** A Markdown text. */
export function wrapMarkdown(text: string): string {
  return wrapBlock({ mark: "", lines: text.split("\n") }).join("\n");
}

/** The comments that have lines of their own; what only looks like one, in a text of the program, stays. */
export function wrapComments(file: string, text: string): string {
  const inTexts = textLines(file, text);
  const lines = text.split("\n").flatMap((line, i) => {
    const single = /^(\s*)\/\*\* (.*) \*\/$/.exec(line);
    const isLong = single && line.length > WIDTH && !inTexts.has(i);
    return (isLong ? [`${single[1]}/**`, `${single[1]} * ${single[2]}`, `${single[1]} */`] : [line]).map((part) => ({
      part,
      mark: inTexts.has(i) ? undefined : /^\s*(\/\/|\*(?= |$)) ?/.exec(part)?.[0],
    }));
  });
  const out: string[] = [];
  for (let at = 0; at < lines.length; ) {
    const { part, mark } = lines[at] ?? { part: "", mark: undefined };
    let to = at + 1;
    if (mark === undefined) out.push(part);
    else {
      const bare = mark.trimEnd();
      while (lines[to]?.mark?.trimEnd() === bare) to++;
      const block = lines.slice(at, to).map((line) => line.part.slice(bare.length).replace(/^ /, ""));
      out.push(...wrapBlock({ mark: `${bare} `, lines: block }));
    }
    at = to;
  }
  return out.join("\n");
}

/** Numbers of the lines that belong to a string of several lines. */
function textLines(file: string, text: string): ReadonlySet<number> {
  const source = ts.createSourceFile(file, text, ts.ScriptTarget.Latest, true);
  const found = new Set<number>();
  const lineOf = (position: number): number => source.getLineAndCharacterOfPosition(position).line;
  const visit = (node: ts.Node): void => {
    if (ts.isTemplateExpression(node) || ts.isNoSubstitutionTemplateLiteral(node))
      for (let line = lineOf(node.getStart()); line <= lineOf(node.end); line++) found.add(line);
    ts.forEachChild(node, visit);
  };
  visit(source);
  return found;
}

const root = fileURLToPath(new URL("..", import.meta.url));

/** Folders whose files are wrapped; results and interfaces are written by programs. */
const FOLDERS = [
  "base",
  "kernels",
  "engine",
  "nn",
  "calibration",
  "onnx",
  "exits",
  "data",
  "cli",
  "scripts",
  "bench",
  "test",
];
/** Written by programs, or as others gave them. */
const NOT_WRAPPED = /^(bench\/results|test\/kernels\/texts)\//;

/** The files that are wrapped. */
export function wrappedFiles(): readonly string[] {
  const inside = FOLDERS.flatMap((folder) =>
    readdirSync(root + folder, { recursive: true, encoding: "utf8" }).map((file) => `${folder}/${file}`),
  );
  const pages = readdirSync(root).filter((file) => file.endsWith(".md"));
  return [...pages, ...inside.map((file) => file.replaceAll("\\", "/"))].filter(
    (file) => /\.(ts|mjs|md)$/.test(file) && !NOT_WRAPPED.test(file),
  );
}

/** The text of a file as it should be. */
export function wrapped(file: string, text: string): string {
  if (text.split("\n").every((line) => line.length <= WIDTH)) return text;
  return file.endsWith(".md") ? wrapMarkdown(text) : wrapComments(file, text);
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  for (const file of wrappedFiles()) {
    const text = readFileSync(root + file, "utf8");
    const better = wrapped(file, text);
    if (better !== text) writeFileSync(root + file, better);
  }
}
