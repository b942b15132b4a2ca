// The exports of every public entry are those that api/ says, declaration by declaration, and the written indices list
// what their folders hold.

import { readdirSync, readFileSync } from "node:fs";
import { apiReports } from "../../scripts/api.ts";
import { writtenIndices } from "../../scripts/indices.ts";
import { assert, suite } from "../harness.ts";

const folder = new URL("../../api/", import.meta.url);
const HINT =
  "the exports have changed: run `npm run api`, look at the diff, and say in CHANGELOG.md what users have to change";

let reports = new Map<string, string>();
const test = suite("public exports", { timeout: 120_000 });

test.before(() => {
  reports = apiReports();
});

test("are those that api/ says", () => {
  assert.equal(readdirSync(folder).sort(), [...reports.keys()].sort());
  for (const [file, text] of reports) {
    const committed = readFileSync(new URL(file, folder), "utf8").split("\n");
    const lines = text.split("\n");
    const at = lines.findIndex((line, i) => line !== committed[i]);
    if (at < 0 && lines.length === committed.length) continue;
    const i = at < 0 ? lines.length : at;
    throw new Error(`api/${file}, line ${i + 1} was:\n${committed[i] ?? ""}\nand is:\n${lines[i] ?? ""}\n${HINT}`);
  }
});

test("come from indices that list what is there", () => {
  const indices = writtenIndices();
  assert.equal(
    [...indices.keys()],
    [
      "engine/ops/index.ts",
      "kernels/families.ts",
      "kernels/attention/index.ts",
      "kernels/conv/index.ts",
      "kernels/loss/index.ts",
      "kernels/matmul/index.ts",
      "kernels/move/index.ts",
      "kernels/norm/index.ts",
      "kernels/optim/index.ts",
      "kernels/reduce/index.ts",
    ],
  );
  for (const [file, text] of indices)
    assert.is(readFileSync(new URL(`../../${file}`, import.meta.url), "utf8"), text, `${file}: run \`npm run api\``);
  assert.match(indices.get("engine/ops/index.ts") ?? "", "maxPool2d");
  assert.not.match(indices.get("engine/ops/index.ts") ?? "", "imageOf");
  const products = indices.get("kernels/matmul/index.ts") ?? "";
  assert.match(products, "matmulKernel");
  assert.match(products, "../shared/gemm-tile.ts", "what a family passes on of other folders is kept");
  assert.not.match(products, "productKernel");
});

test("hold no member that is for the package's own use", () => {
  const engine = reports.get("engine.md") ?? "";
  const classOf = (name: string): string =>
    new RegExp(`export declare class ${name} \\{[^]*?\\n\\}`).exec(engine)?.[0] ?? "";
  assert.match(classOf("Tensor"), "detach");
  for (const member of ["storage", "source", "leaveScope"])
    assert.not.match(classOf("Tensor"), new RegExp(`\\b${member}\\b`));
  assert.match(classOf("Device"), "tuner");
  for (const member of ["pool", "pipelines", "stream"])
    assert.not.match(classOf("Device"), new RegExp(`\\b${member}:`));
});
