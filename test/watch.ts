// `npm run test:watch [-- part of a test file's name ...]`: on every change runs the tests that the changed files can
// reach, and those that failed before. A change during a run starts it anew. Ends with Ctrl-C.

import { type ChildProcess, spawn } from "node:child_process";
import { type FSWatcher, readdirSync, readFileSync, statSync, watch } from "node:fs";
import { join, posix, sep } from "node:path";
import { fileURLToPath } from "node:url";
import { RULES } from "./imports.ts";

const root = fileURLToPath(new URL("..", import.meta.url));
const FOLDERS = Object.keys(RULES).filter((folder) =>
  statSync(join(root, folder), { throwIfNoEntry: false })?.isDirectory(),
);
/** Editors write a file in several steps, and a checkout writes many files. */
const SETTLE_MS = 150;

/** All files below the folders of the house: path from the root -> text. */
export function readTree(top: string, folders: readonly string[] = FOLDERS): Map<string, string> {
  const files = new Map<string, string>();
  for (const folder of folders)
    for (const entry of readdirSync(join(top, folder), { recursive: true, withFileTypes: true })) {
      if (!entry.isFile() || !/\.(ts|mjs|json|md|wgsl)$/.test(entry.name)) continue;
      const path = join(entry.parentPath, entry.name);
      files.set(path.slice(top.length).split(sep).join("/").replace(/^\//, ""), readFileSync(path, "utf8"));
    }
  return files;
}

/**
 * The test files that a change of `changed` can reach. A file leads to every file or folder that a string in it names,
 * from itself or from the root: so imports count, and so do scripts that are started, files that are read and folders
 * whose files are all loaded.
 */
export function reachedTests(files: ReadonlyMap<string, string>, changed: Iterable<string>): string[] {
  const users = new Map<string, string[]>();
  for (const [file, text] of files)
    for (const target of named(file, text, files)) users.set(target, [...(users.get(target) ?? []), file]);
  const seen = new Set<string>();
  const open = [...changed];
  for (let file = open.pop(); file !== undefined; file = open.pop()) {
    if (seen.has(file)) continue;
    seen.add(file);
    open.push(...(users.get(file) ?? []));
  }
  return [...seen].filter((file) => /^test\/.*\.test\.ts$/.test(file) && files.has(file)).sort();
}

function named(file: string, text: string, files: ReadonlyMap<string, string>): string[] {
  const strings = [...text.matchAll(/["']([\w./-]+(?:\/|\.\w+))["']/g)].map(([, name = ""]) => name);
  const places = [...new Set(strings)].flatMap((name) => [
    posix.join(posix.dirname(file), name),
    posix.normalize(name),
  ]);
  return places.flatMap((place) => {
    if (!place.endsWith("/")) return files.has(place) ? [place] : [];
    // The root and the test folder as a whole are where paths start, not what is loaded.
    if (place === "test/" || place.startsWith(".")) return [];
    return [...files.keys()].filter((path) => path.startsWith(place));
  });
}

/** Tells of the files that change below `top`, in batches. Returns what ends it. */
export function watchTree(
  top: string,
  folders: readonly string[],
  tell: (changed: ReadonlySet<string>) => void,
): () => void {
  let batch = new Set<string>();
  let timer: NodeJS.Timeout | undefined;
  const note = (path: string): void => {
    batch.add(path);
    clearTimeout(timer);
    timer = setTimeout(() => {
      const changed = batch;
      batch = new Set();
      tell(changed);
    }, SETTLE_MS);
  };
  const watchers = folders.map(
    (folder): FSWatcher =>
      watch(join(top, folder), { recursive: true }, (_, name) => {
        if (name !== null) note(posix.join(folder, name.split(sep).join("/")));
      }),
  );
  return () => {
    clearTimeout(timer);
    for (const watcher of watchers) watcher.close();
  };
}

/** Runs test files one set at a time: what failed stays in the next set, and a new set ends the run before. */
class Runs {
  readonly #failed = new Set<string>();
  #running: ChildProcess | undefined;

  start(tests: readonly string[]): void {
    const all = [...new Set([...this.#failed, ...tests])].sort();
    this.#running?.kill();
    if (all.length === 0) return;
    // Until it has ended well, a set counts as failed, so a run that is broken off is made up for.
    for (const test of all) this.#failed.add(test);
    console.log(`\n== ${all.length} test files: ${all.slice(0, 8).join(" ")}${all.length > 8 ? " ..." : ""}`);
    const names = all.map((test) => test.slice("test/".length));
    const child = spawn(process.execPath, ["--import", "tsx", "test/run.ts", ...names], { cwd: root });
    this.#running = child;
    let output = "";
    child.stdout?.setEncoding("utf8").on("data", (text: string) => {
      output += text;
      process.stdout.write(text);
    });
    child.stderr?.pipe(process.stderr);
    child.on("close", (_, signal) => {
      if (signal !== null || this.#running !== child) return;
      const isBad = (test: string): boolean => output.includes(`FAIL  ${test.slice("test/".length)}`);
      for (const test of all) if (!isBad(test)) this.#failed.delete(test);
      console.log("watching; Ctrl-C ends");
    });
  }
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const parts = process.argv.slice(2);
  const runs = new Runs();
  const isWanted = (test: string): boolean => parts.length === 0 || parts.some((part) => test.includes(part));
  watchTree(root, FOLDERS, (changed) => {
    const tests = reachedTests(readTree(root, FOLDERS), changed).filter(isWanted);
    if (tests.length === 0)
      console.log(`no test ${parts.length > 0 ? "of these " : ""}reaches ${[...changed].join(", ")}`);
    runs.start(tests);
  });
  console.log(`watching ${FOLDERS.join(", ")}; Ctrl-C ends`);
}
