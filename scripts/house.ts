// `npm run house [-- DIR]`: counts what the house style is about, so that a change of it can be told from a change of
// taste. Library folders only. DIR is another checkout, for figures of before.

import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join, posix, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import ts from "typescript";
import { doubleNames, Modules, publicEntries } from "./exports.ts";

export const LIBRARY = ["base", "kernels", "engine", "nn", "calibration", "onnx", "exits", "data", "cli"] as const;

/** What one text holds. */
export interface Counts {
  /** All lines, and those that are neither blank nor comment alone. */
  readonly lines: number;
  readonly code: number;
  /** `as`, without `as const`. */
  readonly casts: number;
  /** `!` behind a value. */
  readonly nonNull: number;
  readonly throws: number;
  readonly functions: readonly { readonly name: string; readonly lines: number }[];
}

export function countText(file: string, text: string): Counts {
  const source = ts.createSourceFile(file, text, ts.ScriptTarget.Latest, true);
  const counts = { casts: 0, nonNull: 0, throws: 0 };
  const functions: { name: string; lines: number }[] = [];
  const lineOf = (position: number): number => source.getLineAndCharacterOfPosition(position).line;
  const visit = (node: ts.Node): void => {
    if (ts.isAsExpression(node) && node.type.getText() !== "const") counts.casts += 1;
    if (ts.isNonNullExpression(node)) counts.nonNull += 1;
    if (ts.isThrowStatement(node)) counts.throws += 1;
    if (ts.isFunctionLike(node) && "body" in node && node.body)
      functions.push({ name: nameOf(node), lines: lineOf(node.end) - lineOf(node.getStart()) + 1 });
    ts.forEachChild(node, visit);
  };
  visit(source);
  const code = new Set<number>();
  for (const token of tokensOf(source)) for (let n = lineOf(token.getStart()); n <= lineOf(token.end); n++) code.add(n);
  return { ...counts, functions, lines: text.split("\n").length - 1, code: code.size };
}

const nameOf = (node: ts.SignatureDeclaration): string =>
  node.name?.getText() ?? (ts.isVariableDeclaration(node.parent) ? node.parent.name.getText() : "(without a name)");

/** The tokens below a node: no white space, no comment. */
function tokensOf(node: ts.Node): ts.Node[] {
  if (ts.isJSDoc(node) || node.kind === ts.SyntaxKind.EndOfFileToken) return [];
  const children = node.getChildren();
  return children.length > 0 ? children.flatMap(tokensOf) : [node];
}

/** Tokens that a repeated passage has at least: about five lines. */
const PASSAGE = 40;

/**
 * How many tokens stand in a passage that stands elsewhere too, word for word; imports and exports from files are left
 * out.
 */
export function repeatedTokens(files: ReadonlyMap<string, string>): number {
  const tokens = [...files].map(([file, text]) =>
    ts
      .createSourceFile(file, text, ts.ScriptTarget.Latest, true)
      .statements.filter((one) => !ts.isImportDeclaration(one) && !ts.isExportDeclaration(one))
      .flatMap((one) => tokensOf(one).map((token) => token.getText())),
  );
  const places = new Map<string, [file: number, start: number][]>();
  for (const [file, list] of tokens.entries())
    for (let start = 0; start + PASSAGE <= list.length; start++) {
      const key = list.slice(start, start + PASSAGE).join(" ");
      const known = places.get(key);
      if (known) known.push([file, start]);
      else places.set(key, [[file, start]]);
    }
  const repeated = tokens.map(({ length }) => new Uint8Array(length));
  for (const found of places.values())
    if (found.length > 1) for (const [file, start] of found) repeated[file]?.fill(1, start, start + PASSAGE);
  return repeated.reduce((sum, marks) => sum + marks.reduce((a, b) => a + b, 0), 0);
}

/** Groups of files that import one another, through types too; each sorted, the largest first. */
export function knots(files: ReadonlyMap<string, string>): string[][] {
  const targets = (file: string): string[] =>
    ts
      .preProcessFile(files.get(file) ?? "")
      .importedFiles.map(({ fileName }) => posix.join(posix.dirname(file), fileName))
      .filter((target) => files.has(target));
  const graph = new Map([...files.keys()].map((file) => [file, targets(file)]));
  const reached = new Map([...graph.keys()].map((file) => [file, reachable(graph, file)]));
  const knot = (file: string): string[] =>
    [...(reached.get(file) ?? [])].filter((other) => reached.get(other)?.has(file)).sort();
  const found = new Map([...graph.keys()].map((file) => [knot(file).join(), knot(file)]));
  return [...found.values()].filter(({ length }) => length > 0).sort((a, b) => b.length - a.length);
}

function reachable(graph: ReadonlyMap<string, readonly string[]>, from: string): Set<string> {
  const seen = new Set<string>();
  const open = [...(graph.get(from) ?? [])];
  for (let file = open.pop(); file !== undefined; file = open.pop()) {
    if (seen.has(file)) continue;
    seen.add(file);
    open.push(...(graph.get(file) ?? []));
  }
  return seen;
}

function readLibrary(root: string): Map<string, string> {
  const present = LIBRARY.filter((folder) => existsSync(join(root, folder)));
  const paths = present.flatMap((folder) =>
    readdirSync(join(root, folder), { recursive: true, encoding: "utf8" }).map((file) => posix.join(folder, file)),
  );
  const sources = paths.map((path) => path.replaceAll("\\", "/")).filter((path) => path.endsWith(".ts"));
  return new Map(sources.sort().map((path) => [path, readFileSync(join(root, path), "utf8")]));
}

function print(root: string): void {
  const files = readLibrary(root);
  const counted = [...files].map(([file, text]) => ({ file, ...countText(file, text) }));
  const columns = { folder: 12, files: 6, lines: 7, code: 7, casts: 6, nonNull: 8, throws: 7 };
  console.log(
    Object.entries(columns)
      .map(([name, width]) => name.padStart(width))
      .join(" "),
  );
  for (const folder of [...LIBRARY, ""]) {
    const part = counted.filter(({ file }) => file.startsWith(folder));
    const sum = (of: (counts: Counts) => number): number => part.reduce((total, counts) => total + of(counts), 0);
    const row = [
      ...[folder || "all", part.length, sum((one) => one.lines), sum((one) => one.code)],
      ...[sum((one) => one.casts), sum((one) => one.nonNull), sum((one) => one.throws)],
    ];
    console.log(row.map((cell, i) => String(cell).padStart(Object.values(columns)[i] ?? 0)).join(" "));
  }
  const functions = counted.flatMap(({ file, functions }) => functions.map((one) => ({ file, ...one })));
  const [longest] = functions.toSorted((a, b) => b.lines - a.lines);
  const [largest] = counted.toSorted((a, b) => b.lines - a.lines);
  const entries = publicEntries(readFileSync(join(root, "package.json"), "utf8"));
  const doubles = doubleNames(new Modules((file) => readFileSync(join(root, file), "utf8")), entries);
  const circles = knots(files);
  const count = (what: string, n: number, which: readonly string[]): void =>
    console.log(`${what}: ${n}${which.length > 0 ? ` (${which.join("; ")})` : ""}`);
  count("files over 400 lines", counted.filter(({ lines }) => lines > 400).length, []);
  console.log(`longest file: ${largest?.file}, ${largest?.lines} lines`);
  count("functions over 60 lines", functions.filter(({ lines }) => lines > 60).length, []);
  console.log(`longest function: ${longest?.name} of ${longest?.file}, ${longest?.lines} lines`);
  count(
    "circles of imports, types too",
    circles.length,
    circles.map((knot) => knot.join(", ")),
  );
  count(
    "names of two public entries",
    doubles.size,
    [...doubles].map(([name, owners]) => `${name}: ${owners.join(", ")}`),
  );
  count(`tokens in passages of ${PASSAGE} that stand twice`, repeatedTokens(files), []);
}

const here = fileURLToPath(new URL("..", import.meta.url));
if (process.argv[1] === fileURLToPath(import.meta.url)) print(resolve(process.argv[2] ?? here));
