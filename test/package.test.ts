// The package as its users get it: built, packed, installed into an empty TypeScript project, run in Node, type-checked
// in strict mode, bundled for browsers. Tools are linked from this repository, and dependencies come from npm's cache.

import { execFileSync, spawnSync } from "node:child_process";
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";
import { BUNDLES, measure } from "../scripts/size.ts";
import { ATTW, PUBLINT, TSC } from "../scripts/tools.mjs";
import { adapterSuite } from "./gpu.ts";
import { assert, atEnd, suite } from "./harness.ts";
import { RULES } from "./imports.ts";

const root = fileURLToPath(new URL("..", import.meta.url));
const project = mkdtempSync(join(tmpdir(), "sortie-user-"));
const installed = join(project, "node_modules", "sortie");

const CONSUMER = `
import { clopperPearson } from "sortie/calibration";
import { createDevice, type Tensor, tensor } from "sortie/engine";
import { pipelineKey } from "sortie/kernels";

export async function gradient(): Promise<{ loss: number; grad: number[] }> {
  using device = await createDevice();
  const x: Tensor = tensor([[1, 2], [3, 4]]);
  const w = tensor([[1], [1]], { device }).requiresGrad();
  const loss = x.matmul(w).sum();
  loss.backward();
  return { loss: await loss.item(), grad: [...(await w.grad.read())] };
}

export const bound: number = clopperPearson(0, 10, { alpha: 0.05 }).upper;
export const key: (kernel: never, spec: never) => string = pipelineKey;
`;

// What functions alone bring: nn and exits train without a single method on tensors.
const PLAIN = `
import { backward, createDevice, crossEntropy, randn, Tensor, tensor } from "sortie/engine/functions";
import { multiExit } from "sortie/exits";
import { resnet, SGD, TRAIN, vit } from "sortie/nn";

using device = await createDevice();
const y = tensor([1, 2], { dtype: "i32" });
const nets = [
  multiExit(resnet({ depth: 8, classes: 3, seed: 1 }), { after: ["stage1"], head: "pool-linear", seed: 1 }),
  multiExit(vit({ imgSize: 8, patchSize: 4, embedDim: 8, depth: 3, numHeads: 2, classes: 3, seed: 1 }), {
    after: ["stage1"],
    head: "mean-token",
    seed: 1,
  }),
];
const losses: number[] = [];
for (const [i, net] of nets.entries()) {
  const optimizer = new SGD(net.parameters(), { lr: 0.1 });
  const size = i === 0 ? 32 : 8;
  const loss = crossEntropy(net.forward(randn([2, size, size, 3], { seed: 2 }), TRAIN), y);
  backward(loss);
  optimizer.step();
  losses.push(await loss.item());
}
console.log(JSON.stringify({ methods: "reshape" in Tensor.prototype, isFinite: losses.every(Number.isFinite) }));
`;

const MAIN = `
import { gradient } from "./consumer.js";
console.log(JSON.stringify(await gradient()));
`;

function run(command: string, ...args: string[]): string {
  // Where CI is set, tools print in colours.
  const env = { ...process.env, NO_COLOR: "1", FORCE_COLOR: "0" };
  return execFileSync(command, args, { cwd: project, env, encoding: "utf8", stdio: ["ignore", "pipe", "pipe"] });
}

/** All that a failed command printed, which is where tsc and npm say what is wrong. */
function output(command: string, ...args: string[]): string {
  try {
    return run(command, ...args);
  } catch (error) {
    const { stdout, stderr } = error as { stdout: string; stderr: string };
    throw new Error(`${command} ${args.join(" ")}: ${stdout}${stderr}`);
  }
}

function link(name: string): void {
  const target = join(project, "node_modules", name);
  mkdirSync(join(target, ".."), { recursive: true });
  symlinkSync(join(root, "node_modules", name), target);
}

const test = suite("package", { timeout: 180_000 });
let tarball = "";
atEnd(() => rmSync(project, { recursive: true }));

/** Packs and installs, once. */
function install(): void {
  if (tarball !== "") return;
  output("npm", "pack", root, "--pack-destination", project);
  tarball = readdirSync(project).find((file) => file.endsWith(".tgz"))!;
  writeFileSync(join(project, "package.json"), JSON.stringify({ name: "user", private: true, type: "module" }));
  output("npm", "install", "--prefer-offline", "--no-audit", "--no-fund", `./${tarball}`);
  for (const name of ["webgpu", "typescript-7", "@typescript"]) link(name);
  writeFileSync(join(project, "consumer.ts"), CONSUMER);
  writeFileSync(join(project, "main.ts"), MAIN);
  writeFileSync(join(project, "plain.ts"), PLAIN);
}

/** Compiles the user's project in strict mode, the package's declarations included; what tsc says. */
function compile(module: string, moduleResolution: string): string {
  const compilerOptions = {
    ...{ module, moduleResolution, target: "ES2022", types: [], outDir: "out" },
    lib: ["ES2023", "ESNext.Disposable", "DOM", "DOM.Iterable"],
    ...{ strict: true, exactOptionalPropertyTypes: true, noUncheckedIndexedAccess: true, skipLibCheck: false },
  };
  writeFileSync(join(project, "tsconfig.json"), JSON.stringify({ compilerOptions, files: ["main.ts", "plain.ts"] }));
  return output(process.execPath, TSC, "-p", ".");
}

test.before(install);

test("holds modules, declarations, papers and what runs exports in Python, nothing else", () => {
  const files = readdirSync(installed, { recursive: true, encoding: "utf8", withFileTypes: true }).filter((entry) =>
    entry.isFile(),
  );
  const loose = files.filter((entry) => entry.parentPath === installed).map(({ name }) => name);
  assert.equal(loose.filter((name) => name !== "README.md").sort(), ["CHANGELOG.md", "LICENSE", "package.json"]);
  const odd = files.filter(({ name, parentPath }) => parentPath !== installed && !/\.(js|d\.ts)$/.test(name));
  assert.equal(odd.map(({ name }) => name).sort(), ["cascade.py", "triton.py"]);
});

test("exports every library folder, and nothing that is not there", () => {
  const { exports } = JSON.parse(readFileSync(join(installed, "package.json"), "utf8")) as {
    exports: Record<string, string | { types: string; default: string }>;
  };
  const folders = RULES["cli"]!.may.filter((folder) => !RULES[folder]!.isInner);
  const entries = folders.flatMap((folder) => [
    `./${folder}`,
    ...(RULES[folder]!.entries ?? []).map((file) => `./${folder}/${file.replace(/\.ts$/, "")}`),
  ]);
  assert.equal(Object.keys(exports).sort(), [...entries, "./package.json"].sort());
  for (const target of Object.values(exports).flatMap((entry) =>
    typeof entry === "string" ? entry : Object.values(entry),
  )) {
    assert.ok(existsSync(join(installed, target)), target);
  }
});

test("publint has nothing to say of it", () => {
  assert.match(output(process.execPath, join(root, PUBLINT), "--strict", tarball), /^All good!$/m);
});

test("types resolve to what runs, wherever modules are imported as modules", () => {
  const format = ["--profile", "esm-only", "--format", "ascii", "--no-emoji", "--no-definitely-typed"];
  const found = output(process.execPath, join(root, ATTW), tarball, ...format);
  for (const how of ["node16 (from ESM)", "bundler"]) {
    const answers = found.split("\n").filter((line) => line.startsWith(`${how}: `));
    assert.ok(answers.length >= 8, found);
    assert.equal(
      answers.filter((line) => !/: OK\b/.test(line)),
      [],
    );
  }
});

for (const [module, moduleResolution] of [
  ["NodeNext", "NodeNext"],
  ["ESNext", "Bundler"],
] as const) {
  test(`type-checks in strict mode with ${moduleResolution} resolution, declarations included`, () =>
    assert.is(compile(module, moduleResolution), ""));
}

test("brings the sortie command", () => {
  assert.match(output(process.execPath, "node_modules/.bin/sortie"), /^usage: sortie COMMAND/);
});

test("bundles for browsers without warnings, Node's modules or a dependency", async () => {
  const { outputFiles, warnings } = await build({
    absWorkingDir: project,
    entryPoints: ["main.ts"],
    bundle: true,
    minify: true,
    format: "esm",
    platform: "browser",
    target: "es2022",
    write: false,
    logLevel: "silent",
  });
  assert.equal(warnings, []);
  const text = outputFiles[0]!.text;
  assert.not.match(text, /\bfrom\s*"|\brequire\(|\bimport\s*"|\bimport\("/);
});

test("keeps the engine out of a bundle that only calibrates", async () => {
  const { metafile } = await build({
    absWorkingDir: project,
    stdin: { contents: 'export { clopperPearson } from "sortie/calibration";', resolveDir: project },
    bundle: true,
    format: "esm",
    metafile: true,
    write: false,
  });
  const [bundle] = Object.values(metafile.outputs);
  const used = Object.entries(bundle!.inputs).filter(([, { bytesInOutput }]) => bytesInOutput > 0);
  const paths = used.map(([path]) => path);
  assert.ok(paths.length > 0 && paths.every((path) => /dist\/(calibration|base)\//.test(path)), paths.join());
  assert.ok(paths.length < 10, `${paths.length} modules for one function: ${paths.join()}`);
});

test("bundles of the installed package are as small as those of the sources", async () => {
  const entry = "bench/apps/product.ts";
  const source = readFileSync(join(root, entry), "utf8").replace(
    "../../engine/functions.ts",
    "sortie/engine/functions",
  );
  const { outputFiles } = await build({
    absWorkingDir: project,
    stdin: { contents: source, resolveDir: project, loader: "ts" },
    bundle: true,
    minify: true,
    format: "esm",
    target: "es2022",
    write: false,
  });
  const [installedBytes, { bytes }] = [outputFiles[0]!.contents.byteLength, await measure({ entry })];
  assert.ok(Math.abs(installedBytes / bytes - 1) < 0.02, `${installedBytes} and ${bytes} bytes`);
});

for (const bundle of BUNDLES) {
  test(`is within its budget: ${bundle.what}`, async () => {
    const { gzip } = await measure(bundle);
    assert.ok(gzip <= bundle.budget, `${gzip} bytes after gzip; the budget is ${bundle.budget}`);
  });
}

const running = adapterSuite("package in Node", { timeout: 180_000 });

running.before(() => {
  install();
  compile("NodeNext", "NodeNext");
});

running("trains by methods", () => {
  assert.equal(JSON.parse(output(process.execPath, "out/main.js")), { loss: 10, grad: [4, 6] });
});

running("trains on functions alone", () => {
  assert.equal(JSON.parse(output(process.execPath, "out/plain.js")), { methods: false, isFinite: true });
});

running("the sortie command shows nothing that a native library prints of its own", () => {
  const { status, stdout, stderr } = spawnSync(process.execPath, ["node_modules/.bin/sortie", "doctor"], {
    cwd: project,
    encoding: "utf8",
  });
  assert.equal([status, stderr], [0, ""], stdout);
});
