// No argument is dropped in silence: every op refuses one more than it takes, and its signature is told as it stands in
// the source.

import { readdirSync, readFileSync } from "node:fs";
import ts from "typescript";
import * as engine from "../../engine/index.ts";
import * as exits from "../../exits/index.ts";
import * as answer from "../../exits/ops/answer.ts";
import * as append from "../../exits/ops/append.ts";
import * as pack from "../../exits/ops/pack.ts";
import { adapterSuite } from "../gpu.ts";
import { assert, suite } from "../harness.ts";
import { messageOf } from "./messages.ts";
import { opRows } from "./op-table.ts";

type Anything = (...args: readonly unknown[]) => unknown;

const EXPORTS = { ...exits, ...answer, ...append, ...pack, ...engine } as Readonly<Record<string, unknown>>;

const root = new URL("../../", import.meta.url);

/** Every call of `positional` with a literal: its signature, and the names of the function's parameters. */
function signatures(): { file: string; given: string; name: string; parameters: string[] }[] {
  const found: ReturnType<typeof signatures> = [];
  const files = ["engine", "exits"].flatMap((folder) =>
    readdirSync(new URL(`${folder}/`, root), { recursive: true, encoding: "utf8" }).map((file) => `${folder}/${file}`),
  );
  for (const file of files.filter((path) => path.endsWith(".ts"))) {
    const visit = (node: ts.Node): void => {
      if (ts.isCallExpression(node) && node.expression.getText() === "positional") {
        const [given, fn] = node.arguments;
        if (given && ts.isStringLiteral(given) && fn && ts.isArrowFunction(fn) && ts.isVariableDeclaration(node.parent))
          found.push({
            ...{ file, given: given.text, name: node.parent.name.getText() },
            parameters: fn.parameters.map(({ name }) => (ts.isIdentifier(name) ? name.text : "on")),
          });
      }
      ts.forEachChild(node, visit);
    };
    visit(ts.createSourceFile(file, readFileSync(new URL(file, root), "utf8"), ts.ScriptTarget.Latest, true));
  }
  return found;
}

const known = signatures();
const told = suite("signatures of ops");

told("are those of the functions", () => {
  assert.ok(known.length > 60);
  for (const { file, given, name, parameters } of known) assert.is(given, `${name}(${parameters.join(", ")})`, file);
});

const test = adapterSuite("surplus arguments");
const names = [...new Set([...(await opRows()).map(({ op }) => op), ...known.map(({ name }) => name)])];

for (const name of names)
  test(name, () => {
    const fn = EXPORTS[name] as Anything;
    const message = messageOf(() => fn(...new Array<undefined>(12)));
    const parts = /^ArgumentError: (\w+): the arguments must be \((.*)\); got 12 of them\.$/.exec(message) ?? [];
    assert.is(parts[1], name, message);
    const most = (parts[2] as string).split(", ").length;
    const over = messageOf(() => fn(...new Array<undefined>(most + 1)));
    assert.is(over, `ArgumentError: ${name}: the arguments must be (${parts[2]}); got ${most + 1} of them.`);
    // One less is taken, whatever it is then found to be.
    assert.not.match(
      messageOf(() => fn(...new Array<undefined>(most))),
      /the arguments must be/,
    );
  });

test("methods count what they are called on", () => {
  const x = engine.ones([2, 3]);
  for (const name of Object.getOwnPropertyNames(engine.Tensor.prototype)) {
    const method = Object.getOwnPropertyDescriptor(engine.Tensor.prototype, name)?.value as Anything | undefined;
    if (!method || !names.includes(name)) continue;
    assert.match(
      messageOf(() => method.call(x, ...new Array<undefined>(11))),
      new RegExp(`^ArgumentError: ${name}: the arguments must be \\(.*\\); got 12 of them\\.$`),
    );
  }
});
