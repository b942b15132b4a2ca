// Marks the calls that make ops and kernels as free of effects. package.json says so of whole modules; a bundler that
// keeps a part of a module must be told for each call, since it does not look into a function of another module.
// Without the marks, one op of a file brings the others along, and their kernels.

import type { Edit } from "./edits.ts";

/** Puts `@__PURE__` before the calls that initialise constants of `code`, an ES module without top-level effects. */
export function pureMarks(code: string): Edit[] {
  const inits = [...code.matchAll(/^((?:export )?const \w+ = )(?:new )?\w+\(/gm)];
  const inner = [...code.matchAll(/(\bsingle\(\s*)defineOp\(/g)];
  return [...inits, ...inner]
    .map(({ index, 1: head = "" }) => index + head.length)
    .sort((a, b) => a - b)
    .map((at) => ({ start: at, end: at, text: "/* @__PURE__ */ " }));
}
