// The README's TypeScript blocks are one program, and it runs.

import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { fileURLToPath, pathToFileURL } from "node:url";
import { build } from "esbuild";
import { gpuSuite } from "./gpu.ts";
import { assert } from "./harness.ts";

const root = fileURLToPath(new URL("../", import.meta.url));
const test = gpuSuite("README", { timeout: 120_000 });

/** All blocks of a language, in order. */
const blocks = (markdown: string, language: string): string[] =>
  [...markdown.matchAll(/^```(\w+)\n([\s\S]*?)^```$/gm)].flatMap(([, name, text]) =>
    name === language ? [text as string] : [],
  );

test("its code runs and prints what it says", async () => {
  const program = blocks(readFileSync(`${root}README.md`, "utf8"), "ts").join("\n");
  assert.ok(program.length > 1000);
  const folder = mkdtempSync(`${root}node_modules/.readme-`);
  const lines: string[] = [];
  const { log } = console;
  try {
    writeFileSync(`${folder}/readme.ts`, program);
    const alias = Object.fromEntries(
      ["engine", "nn", "exits", "calibration", "data"].map((name) => [`sortie/${name}`, `${root}${name}/index.ts`]),
    );
    // `webgpu` stays outside, as for a user; `using` is lowered for Node 20.
    await build({
      entryPoints: [`${folder}/readme.ts`],
      outfile: `${folder}/readme.mjs`,
      bundle: true,
      format: "esm",
      platform: "node",
      target: "node20",
      packages: "external",
      alias,
      logLevel: "error",
    });
    console.log = (...values: unknown[]) => lines.push(values.map(String).join(" "));
    await import(pathToFileURL(`${folder}/readme.mjs`).href);
  } finally {
    console.log = log;
    rmSync(folder, { recursive: true, force: true });
  }
  const output = lines.join("\n");
  assert.match(output, /ShapeError: matmul: inner dimensions must match; got f32\[2, 3\] x f32\[2, 3\] \(3 != 2\)\./);
  // Ten classes: chance is 51.
  const [, right, all] = /(\d+) of (\d+) test images are answered rightly/.exec(output) ?? [];
  assert.is(all, "512", output);
  assert.ok(Number(right) > 384, `${right} of ${all} test images are answered rightly`);
  const [clear, foggy] = ["clear", "foggy"].map((name) =>
    Number(new RegExp(`${name}: (\\d+) right`).exec(output)?.[1]),
  );
  assert.ok(foggy! < clear! && clear! === Number(right), `${foggy} right in fog, ${clear} without`);
  assert.match(output, "ice drawn by code");
  const losses = [...output.matchAll(/loss (\d\.\d+)/g)].map(([, loss]) => Number(loss));
  assert.is(losses.length, 4);
  assert.ok((losses[3] as number) < 0.25, `the last loss is ${losses[3]}`);
  const [, points] = /([\d.]+) % of the points/.exec(output) ?? [];
  assert.ok(Number(points) > 95, `the training loop answers ${points} % of the points`);
  assert.match(output, /\d+ of 256 rows went on/);
});
