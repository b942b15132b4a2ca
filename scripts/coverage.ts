// `npm run coverage [-- part of a test file's name ...]`: runs the tests and says which part of the library they ran,
// folder by folder, and which functions none of them called. After a run of all tests it writes
// bench/results/coverage.md. No gate: a figure to look at.

import { spawnSync } from "node:child_process";
import { readFileSync, rmSync, writeFileSync } from "node:fs";
import { join, relative } from "node:path";
import { fileURLToPath } from "node:url";
import { LIBRARY } from "./house.ts";
import { C8 } from "./tools.mjs";

/** A file's entry in Istanbul's report: counts by statement, function and branch. */
export interface FileCoverage {
  readonly s: Readonly<Record<string, number>>;
  readonly f: Readonly<Record<string, number>>;
  readonly b: Readonly<Record<string, readonly number[]>>;
  readonly fnMap: Readonly<
    Record<string, { readonly name: string; readonly loc: { readonly start: { readonly line: number } } }>
  >;
}

interface Share {
  readonly hit: number;
  readonly all: number;
}

const share = (counts: readonly number[]): Share => ({ hit: counts.filter((n) => n > 0).length, all: counts.length });

const percent = ({ hit, all }: Share): string => (all === 0 ? "-" : `${((100 * hit) / all).toFixed(1)} %`);

/** The report as Markdown: a row a folder, then what never ran. Paths are relative to the root. */
export function coveragePage(files: ReadonlyMap<string, FileCoverage>): string {
  const rows = ["", ...new Set([...files.keys()].map((file) => file.split("/")[0] ?? ""))].map((folder) => {
    const part = [...files].filter(([file]) => file.startsWith(folder)).map(([, one]) => one);
    const shares = [
      share(part.flatMap(({ s }) => Object.values(s))),
      share(part.flatMap(({ b }) => Object.values(b).flat())),
      share(part.flatMap(({ f }) => Object.values(f))),
    ];
    return `| ${[folder || "all", part.length, ...shares.map(percent)].join(" | ")} |`;
  });
  const [all = "", ...folders] = rows;
  const idle = [...files].flatMap(([file, { f, fnMap }]) =>
    Object.entries(fnMap)
      .filter(([id]) => f[id] === 0)
      .map(([, { name, loc }]) => `- \`${file}\`: \`${name}\`, line ${loc.start.line}`),
  );
  return [
    "# Coverage",
    "",
    "What the tests run of the library, measured by V8 (block coverage, sources found through source maps; GPU suites and the processes that tests start",
    "included). WGSL does not count. Written by `npm run coverage`.",
    "",
    "| folder | files | lines | branches | functions |",
    "|---|---|---|---|---|",
    ...folders,
    all,
    "",
    idle.length === 0 ? "No function is without a call." : `Functions that no test calls: ${idle.length}.`,
    "",
    ...idle,
    ...(idle.length === 0 ? [] : [""]),
  ].join("\n");
}

/** Without the functions that esbuild adds for `using`, which stand in no line of the source. */
function withoutHelpers(file: FileCoverage, lines: readonly string[]): FileCoverage {
  const isOurs = ([, { name, loc }]: [string, FileCoverage["fnMap"][string]]): boolean =>
    name.startsWith("(anonymous") || (lines[loc.start.line - 1] ?? "").includes(name.split(/[. ]/).at(-1) ?? "");
  const fnMap = Object.fromEntries(Object.entries(file.fnMap).filter(isOurs));
  return { ...file, fnMap, f: Object.fromEntries(Object.entries(file.f).filter(([id]) => id in fnMap)) };
}

function main(tests: readonly string[]): number {
  const root = fileURLToPath(new URL("..", import.meta.url));
  const folder = join(root, ".cache", "coverage");
  rmSync(folder, { recursive: true, force: true });
  const flags = [
    ...["--temp-directory", join(folder, "v8"), "--reports-dir", folder, "--reporter", "json", "--clean", "false"],
    ...["--all", "--exclude", "dist/**", "--exclude-node-modules"],
    ...LIBRARY.flatMap((name) => ["--src", name, "--include", `${name}/**/*.ts`]),
  ];
  const run = [C8, ...flags, process.execPath, "--import", "tsx", "test/run.ts", ...tests];
  const { status } = spawnSync(process.execPath, run, { cwd: root, stdio: "inherit" });
  rmSync(join(folder, "v8"), { recursive: true, force: true });
  const report = JSON.parse(readFileSync(join(folder, "coverage-final.json"), "utf8")) as Record<string, FileCoverage>;
  const files = Object.entries(report).map(([path, one]) => {
    const lines = readFileSync(path, "utf8").split("\n");
    return [relative(root, path).replaceAll("\\", "/"), withoutHelpers(one, lines)] as const;
  });
  const page = coveragePage(new Map(files.sort()));
  console.log(`\n${page}`);
  if (tests.length === 0 && status === 0) writeFileSync(join(root, "bench", "results", "coverage.md"), page);
  return status ?? 1;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) process.exitCode = main(process.argv.slice(2));
