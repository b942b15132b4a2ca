// The package as its users get it: built, packed, installed into an empty TypeScript project, run in Node, type-checked
// in strict mode, bundled for browsers. Tools are linked from this repository, and dependencies come from npm's cache.

import { spawnSync } from "node:child_process";
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
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { decode } from "@jridgewell/sourcemap-codec";
import { build } from "esbuild";
import { chromium } from "playwright-core";
import { decodeJpeg } from "../data/index.ts";
import { BUNDLES, measure, without } from "../scripts/size.ts";
import { ATTW, PUBLINT, TSC } from "../scripts/tools.mjs";
import { bundle, CHROMIUM, FLAGS, isOptional, serve, skip } from "./browser/serving.ts";
import { adapterSuite } from "./gpu.ts";
import { assert, atEnd, suite } from "./harness.ts";
import { parseImports, RULES } from "./imports.ts";
import { CONSUMER, ENTRIES, MAIN, METHODS, PLAIN, PROGRAM } from "./package-programs.ts";
import { install, packed, printed } from "./packed.ts";

const root = fileURLToPath(new URL("..", import.meta.url));
const project = mkdtempSync(join(tmpdir(), "sortie-user-"));
const installed = join(project, "node_modules", "sortie");

const output = (command: string, ...args: string[]): string => printed(project, command, ...args);

function link(name: string): void {
  const target = join(project, "node_modules", name);
  mkdirSync(join(target, ".."), { recursive: true });
  symlinkSync(join(root, "node_modules", name), target);
}

/** Tools of this repository, which a user would install. */
const LINKED = ["webgpu", "typescript-5.7", "typescript-7", "@typescript", "@types", "@webgpu", "undici-types"];

const test = suite("package", { timeout: 180_000 });
let tarball: string | undefined;
atEnd(() => rmSync(project, { recursive: true }));

/** Installs, once, and gives what was packed. */
function installOnce(): string {
  if (tarball !== undefined) return tarball;
  tarball = packed();
  writeFileSync(join(project, "package.json"), JSON.stringify({ name: "user", private: true, type: "module" }));
  install(project, tarball);
  for (const name of LINKED) link(name);
  writeFileSync(join(project, "consumer.ts"), CONSUMER);
  writeFileSync(join(project, "main.ts"), MAIN);
  writeFileSync(join(project, "plain.ts"), PLAIN);
  writeFileSync(join(project, "entries.ts"), ENTRIES);
  return tarball;
}

/** A project's compiler, and how it is set. */
interface Project {
  readonly tsc: string;
  readonly module: string;
  readonly moduleResolution: string;
  readonly lib: readonly string[];
  readonly types: readonly string[];
  readonly files: readonly string[];
}

/** Compiles in strict mode, the package's declarations included; what tsc says. */
function compile({ tsc, files, ...settings }: Project): string {
  const compilerOptions = {
    ...{ ...settings, target: "ES2022", outDir: "out", strict: true, skipLibCheck: false },
    ...{ exactOptionalPropertyTypes: true, noUncheckedIndexedAccess: true },
  };
  writeFileSync(join(project, "tsconfig.json"), JSON.stringify({ compilerOptions, files }));
  return output(process.execPath, tsc, "-p", ".");
}

const OLDEST = "node_modules/typescript-5.7/bin/tsc";
const PAGE = ["ES2022", "DOM"];
const APP: Project = {
  ...{ tsc: TSC, module: "NodeNext", moduleResolution: "NodeNext", types: [], files: ["main.ts", "plain.ts"] },
  lib: ["ES2023", "ESNext.Disposable", "DOM", "DOM.Iterable"],
};

/** Who brings which declarations of a platform: a page, Node, WebGPU's own before TypeScript 6, nobody. */
const entries = ["entries.ts"];
const PROJECTS: Readonly<Record<string, Project>> = {
  "NodeNext, TypeScript 7": APP,
  "Bundler, TypeScript 7": { ...APP, module: "ESNext", moduleResolution: "Bundler" },
  "Bundler, TypeScript 7, every entry, for pages": {
    ...{ tsc: TSC, module: "ESNext", moduleResolution: "Bundler", lib: PAGE, types: [], files: entries },
  },
  "NodeNext, TypeScript 5.7, every entry, no types of a platform": {
    ...{ tsc: OLDEST, module: "NodeNext", moduleResolution: "NodeNext", lib: ["ES2022"], types: [], files: entries },
  },
  "Node16, TypeScript 5.7, every entry, types of Node": {
    ...{ tsc: OLDEST, module: "Node16", moduleResolution: "Node16", lib: ["ES2022"], types: ["node"], files: entries },
  },
  "node, TypeScript 5.7, every entry, types of pages and WebGPU": {
    ...{ tsc: OLDEST, module: "ES2022", moduleResolution: "node", lib: PAGE, types: ["@webgpu/types"], files: entries },
  },
};

test.before(installOnce);

test("is all that is installed", () => {
  assert.equal(
    readdirSync(join(project, "node_modules")).filter((name) => !name.startsWith(".") && !LINKED.includes(name)),
    ["sortie"],
  );
});

test("holds modules with source maps, declarations, papers, a decoder and what runs exports in Python, nothing else", () => {
  const files = readdirSync(installed, { recursive: true, encoding: "utf8", withFileTypes: true }).filter((entry) =>
    entry.isFile(),
  );
  const loose = files.filter((entry) => entry.parentPath === installed).map(({ name }) => name);
  assert.equal(loose.filter((name) => name !== "README.md").sort(), ["CHANGELOG.md", "LICENSE", "package.json"]);
  const odd = files.filter(({ name, parentPath }) => parentPath !== installed && !/\.(js|js\.map|d\.ts)$/.test(name));
  assert.equal(odd.map(({ name }) => name).sort(), [
    ...["LICENSES.txt", "cascade.py", "mozjpeg_dec.wasm", "mozjpeg_dec.wasm", "triton.py"],
  ]);
  const paths = new Set(files.map(({ name, parentPath }) => join(parentPath, name)));
  const unmapped = [...paths].filter((path) => /(?<!mozjpeg_dec)\.js$/.test(path) && !paths.has(`${path}.map`));
  assert.equal(unmapped, []);
  assert.match(readFileSync(join(installed, "dist/vendor/LICENSES.txt"), "utf8"), /fflate .*: MIT[\s\S]*Arjun Barrett/);
});

test("imports nothing but itself, Node's modules and optional peers", () => {
  const { peerDependencies, dependencies } = JSON.parse(readFileSync(join(installed, "package.json"), "utf8")) as {
    peerDependencies: Record<string, string>;
    dependencies?: Record<string, string>;
  };
  assert.is(dependencies, undefined);
  const imported = new Set<string>();
  for (const file of readdirSync(join(installed, "dist"), { recursive: true, encoding: "utf8" })) {
    if (!file.endsWith(".js") || file.endsWith(".min.js")) continue;
    const text = readFileSync(join(installed, "dist", file), "utf8");
    for (const { specifier } of parseImports(text)) if (!/^(\.|node:|\$)/.test(specifier)) imported.add(specifier);
  }
  assert.equal(
    [...imported].filter((name) => !(name in peerDependencies)),
    [],
  );
});

test("maps what runs to the sources, line by line", () => {
  const text = readFileSync(join(installed, "dist/kernels/softmax.js"), "utf8");
  const map = JSON.parse(readFileSync(join(installed, "dist/kernels/softmax.js.map"), "utf8")) as {
    sourcesContent: string[];
    mappings: string;
  };
  // A name behind a mark and behind stripped WGSL.
  const lines = text.split("\n");
  const line = lines.findIndex((code) => code.includes("export const softmax"));
  const column = (lines[line] ?? "").indexOf("defineKernel");
  const [, , sourceLine = 0, sourceColumn = 0] = decode(map.mappings)[line]?.find(([at]) => at === column) ?? [];
  const source = map.sourcesContent[0]?.split("\n")[sourceLine] ?? "";
  assert.match(source.slice(sourceColumn), /^defineKernel/);
});

test("one-file builds need no other file but their WebAssembly", () => {
  for (const name of ["engine.min.js", "sortie.min.js", "recorded.min.js"]) {
    const text = readFileSync(join(installed, "dist", name), "utf8");
    const imported = parseImports(text).filter(({ specifier }) => !specifier.startsWith("$"));
    assert.equal(imported, []);
  }
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
  const others = [".", "./engine.min.js", "./sortie.min.js", "./recorded.min.js", "./package.json"];
  assert.equal(Object.keys(exports).sort(), [...entries, ...others].sort());
  for (const target of Object.values(exports).flatMap((entry) =>
    typeof entry === "string" ? entry : Object.values(entry),
  )) {
    assert.ok(existsSync(join(installed, target)), target);
  }
});

test("publint has nothing to say of it", () => {
  assert.match(output(process.execPath, join(root, PUBLINT), "--strict", installOnce()), /^All good!$/m);
});

test("types resolve to what runs, wherever modules are imported as modules", () => {
  const format = ["--profile", "esm-only", "--format", "ascii", "--no-emoji", "--no-definitely-typed"];
  const found = output(process.execPath, join(root, ATTW), installOnce(), ...format);
  for (const how of ["node10", "node16 (from ESM)", "bundler"]) {
    const answers = found.split("\n").filter((line) => line.startsWith(`${how}: `));
    assert.ok(answers.length >= 8, found);
    assert.equal(
      answers.filter((line) => !/: (\(ignored\) )?OK\b/.test(line)),
      [],
    );
  }
});

for (const [how, project] of Object.entries(PROJECTS))
  test(`type-checks in strict mode, declarations included: ${how}`, () => assert.is(compile(project), ""));

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
    plugins: [without([])],
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
  installOnce();
  compile(APP);
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

const paged = suite("package in a page", { skip, isOptional, timeout: 120_000 });

paged("its one-file builds run as they are, and compute to the bit what the sources do", async () => {
  installOnce();
  const picture = readFileSync(join(root, "test/data/pictures/base420.jpg"));
  const parts = ["engine.min.js", "sortie.min.js", "mozjpeg_dec.wasm"].map((name) => {
    const type = name.endsWith(".wasm") ? "application/wasm" : "text/javascript";
    return [`/${name}`, [type, readFileSync(join(installed, "dist", name))]] as const;
  });
  const inline = (script: string) => ["text/html", `<!doctype html><script type="module">${script}</script>`] as const;
  const server = await serve(await bundle(PROGRAM("../index.ts")), {
    ...Object.fromEntries(parts),
    "/picture.jpg": ["image/jpeg", picture],
    "/engine": inline(METHODS),
    "/sortie": inline(PROGRAM("/sortie.min.js")),
  });
  const browser = await chromium.launch({ executablePath: CHROMIUM, args: FLAGS });
  try {
    const tab = await browser.newPage();
    const at = async <T>(path: string, name: string): Promise<T> => {
      await tab.goto(`http://127.0.0.1:${(server.address() as AddressInfo).port}${path}`);
      await tab.waitForFunction((name) => name in globalThis, name);
      return tab.evaluate((name) => (globalThis as unknown as Record<string, () => Promise<T>>)[name]!(), name);
    };
    assert.equal(await at("/engine", "methods"), [4, 6]);
    const found = await at<{ losses: number[]; pixels: number[] }>("/sortie", "numbers");
    assert.equal(found, await at("/", "numbers"));
    assert.ok(found.losses[2]! < found.losses[0]!, `losses ${found.losses}`);
    assert.equal(found.pixels, [...(await decodeJpeg(picture, { file: "picture.jpg", channels: 3 })).data]);
  } finally {
    await browser.close();
    server.close();
  }
});
