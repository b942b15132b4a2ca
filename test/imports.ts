// The import rules of the house: which folder may import which, how, and that there is no cycle, of types neither.
// Pure: texts in, faults out.

import { posix } from "node:path";

/** What a folder may import from this repository; packages too unless it must run everywhere without any. */
interface Rule {
  readonly may: readonly string[];
  /** Folders of `may` that may be imported by `import type` only. */
  readonly typesOnly?: readonly string[];
  /** No package and no Node module by a static import: it runs in browsers as it is. */
  readonly isPortable?: boolean;
  /** Files that others may import, besides `index.ts`. */
  readonly entries?: readonly string[];
  /** Who may import its parts one by one: files at its top, and the `index.ts` of folders there. */
  readonly partsFor?: readonly string[];
  /** Takes the engine's functions, not its index: the methods on tensors would be in every bundle. */
  readonly isPlain?: boolean;
  /** Folders of `may` that values are imported of by `import()` only: pages load them when they need them. */
  readonly lazily?: readonly string[];
  /** No entry of the package: users do not see it. */
  readonly isInner?: boolean;
}

const LIBRARY = ["base", "kernels", "engine", "nn", "calibration", "onnx", "exits", "data"];

/** The map of the repository; a folder with TypeScript in it that is missing here is a fault. */
export const RULES: Readonly<Record<string, Rule>> = {
  "index.ts": { may: ["calibration", "data", "engine", "exits", "nn"], isPortable: true, isPlain: true, isInner: true },
  base: { may: [], isPortable: true, isInner: true },
  kernels: { may: [], isPortable: true, partsFor: ["engine"] },
  engine: { may: ["base", "kernels"], isPortable: true, entries: ["functions.ts"] },
  nn: { may: ["base", "engine"], isPortable: true, isPlain: true },
  calibration: { may: ["base"], isPortable: true },
  onnx: { may: ["base", "nn", "engine"], isPlain: true, isInner: true },
  exits: {
    may: ["base", "kernels", "nn", "engine", "calibration", "data", "onnx"],
    lazily: ["onnx"],
    isPortable: true,
    isPlain: true,
  },
  data: { may: ["base", "engine"], typesOnly: ["engine"], partsFor: ["exits"] },
  cli: { may: LIBRARY },
  examples: { may: LIBRARY },
  scripts: { may: [] },
  site: { may: LIBRARY },
  bench: { may: [...LIBRARY, "cli"] },
  test: { may: [...LIBRARY, "cli", "examples", "scripts", "bench", "site"] },
};

/**
 * The one pair of files that may know each other, by types on one side: a handle has a place on the tape, a leaf has a
 * gradient.
 */
const PAIR = ["engine/graph.ts", "engine/tensor.ts"];

/** One import or re-export statement, or `import()` of a literal. */
export interface Import {
  readonly specifier: string;
  readonly isType: boolean;
  readonly isDynamic: boolean;
}

/** The imports that a file's text states. */
export function parseImports(text: string): Import[] {
  const code = text.replace(/\/\*[\s\S]*?\*\//g, "").replace(/(^|[^:"'`])\/\/.*$/gm, "$1");
  const statements = code.matchAll(
    /^[ \t]*(?:import|export)\s+(type\s+)?(?:[\w$*{][^;"'`]*?\sfrom\s*)?["']([^"'\n]+)["']/gm,
  );
  const calls = code.matchAll(/\bimport\s*\(\s*(?:\/\*.*?\*\/\s*)?["']([^"'\n]+)["']/g);
  return [
    ...[...statements].map(([, type, specifier]) => ({
      specifier: specifier!,
      isType: Boolean(type),
      isDynamic: false,
    })),
    ...[...calls].map(([, specifier]) => ({ specifier: specifier!, isType: false, isDynamic: true })),
  ];
}

/** Every breach of the rules in `files`: path from the root -> text. */
export function findFaults(files: ReadonlyMap<string, string>): string[] {
  const faults: string[] = [];
  const graph = new Map<string, string[]>();
  for (const [file, text] of files) {
    const folder = file.split("/")[0]!;
    const rule = RULES[folder];
    if (!rule) {
      faults.push(`${file}: folder ${folder} has no import rule`);
      continue;
    }
    const targets: string[] = [];
    graph.set(file, targets);
    for (const entry of parseImports(text)) {
      const { specifier } = entry;
      if (!specifier.startsWith(".")) {
        if (rule.isPortable && !entry.isDynamic)
          faults.push(`${file}: ${folder} must run everywhere, but imports ${specifier}`);
        continue;
      }
      const target = posix.join(posix.dirname(file), specifier);
      const fault = faultOf(file, target, entry, files);
      if (fault) faults.push(`${file}: ${fault}`);
      else if (!(entry.isType && PAIR.includes(file) && PAIR.includes(target))) targets.push(target);
    }
  }
  return [...faults, ...findCycles(graph).map((cycle) => `cycle: ${cycle.join(" -> ")}`)];
}

function faultOf(file: string, target: string, entry: Import, files: ReadonlyMap<string, string>): string | undefined {
  const folder = file.split("/")[0]!;
  const [other, ...rest] = target.split("/");
  if (!/\.(tsx?|mjs|js|json|css)$/.test(target)) return `${entry.specifier} must be written with its extension`;
  if (/\.ts$/.test(target) && !files.has(target)) return `${target} does not exist`;
  if (other === folder) return undefined;
  const rule = RULES[folder]!;
  if (!rule.may.includes(other!)) return `${folder} must not import ${other} (${target})`;
  if (rule.typesOnly?.includes(other!) && !entry.isType) return `${folder} may import ${other} by \`import type\` only`;
  if (rule.lazily?.includes(other!) && !entry.isType && !entry.isDynamic)
    return `${folder} may import ${other} by \`import type\` or \`import()\` only`;
  if (rule.isPlain && target === "engine/index.ts" && !entry.isType)
    return `${folder} must import engine/functions.ts: engine/index.ts brings the methods on tensors into every bundle`;
  const entries = ["index.ts", ...(RULES[other!]?.entries ?? [])];
  const isPart = rest.length === 1 || (rest.length === 2 && rest[1] === "index.ts");
  if (isPart && RULES[other!]?.partsFor?.includes(folder)) return undefined;
  if (folder !== "test" && !entries.includes(rest.join("/")))
    return `only ${entries.map((entry) => `${other}/${entry}`).join(" or ")} may be imported, not ${target}`;
  return undefined;
}

/** One cycle per strongly tied group: depth first, a file met again on the current path closes a cycle. */
function findCycles(graph: ReadonlyMap<string, readonly string[]>): string[][] {
  const cycles: string[][] = [];
  const done = new Set<string>();
  const path: string[] = [];
  const visit = (file: string): void => {
    if (done.has(file)) return;
    const start = path.indexOf(file);
    if (start >= 0) {
      cycles.push([...path.slice(start), file]);
      return;
    }
    path.push(file);
    for (const target of graph.get(file) ?? []) visit(target);
    path.pop();
    done.add(file);
  };
  for (const file of graph.keys()) visit(file);
  return cycles;
}
