// The page that says what the tests run: shares of lines, branches and functions by folder, and the functions that
// nobody calls.

import { coveragePage, type FileCoverage } from "../../scripts/coverage.ts";
import { assert, suite } from "../harness.ts";

const test = suite("coverage page");

const fn = (name: string, line: number) => ({ name, loc: { start: { line } } });

test("adds up files by folder, and names what never ran", () => {
  const half: FileCoverage = {
    s: { 0: 1, 1: 0 },
    b: { 0: [1, 0], 1: [3] },
    f: { 0: 2, 1: 0 },
    fnMap: { 0: fn("used", 1), 1: fn("idle", 7) },
  };
  const whole: FileCoverage = { s: { 0: 1, 1: 1 }, b: {}, f: {}, fnMap: {} };
  const page = coveragePage(
    new Map([
      ["base/a.ts", half],
      ["base/b.ts", whole],
      ["nn/c.ts", whole],
    ]),
  );
  assert.match(
    page,
    "| base | 2 | 75.0 % | 66.7 % | 50.0 % |\n| nn | 1 | 100.0 % | - | - |\n| all | 3 | 83.3 % | 66.7 % | 50.0 % |",
  );
  assert.match(page, "Functions that no test calls: 1.\n\n- `base/a.ts`: `idle`, line 7\n");
  assert.match(coveragePage(new Map([["nn/c.ts", whole]])), "No function is without a call.");
});
