// Lists of which more is known than their type says.

import {
  exactly,
  firstOf,
  inColumns,
  lastOf,
  lookUp,
  median,
  SortieError,
  take,
  transposed,
  zip,
} from "../../base/index.ts";
import { assert, suite } from "../harness.ts";

const test = suite("lists");

test("entries that must be there are there, or an error says what is", () => {
  assert.equal(exactly([4, 5], 2), [4, 5]);
  assert.is(firstOf(Float32Array.of(0, 7)), 0);
  assert.is(lastOf([1, 2, 3]), 3);
  assert.equal([median([9, 1, 5, 7]), median([9, 1, 5]), median([3])], [6, 5, 3]);
  assert.equal(take(["a", "b", "c"], Int32Array.of(2, 0)), ["c", "a"]);
  const failing = [
    [() => exactly([4, 5], 3), "exactly: the list must have 3 entries; got 2."],
    [() => firstOf([]), "firstOf: the list must have entries; got none."],
    [() => lastOf(new Float64Array(0)), "lastOf: the list must have entries; got none."],
    [() => take([1], [1]), "take: places must lie in 0..0; got 1."],
    [() => zip([1, 2], [3]), "zip: the lists must be of one length; got 2 and 1."],
  ] as const;
  for (const [call, message] of failing)
    assert.throws(call, (error: unknown) => error instanceof SortieError && error.message === message);
});

test("lists are read side by side, and as columns", () => {
  assert.equal(zip(["a", "b"], Float64Array.of(1, 2), [true, false]), [
    ["a", 1, true],
    ["b", 2, false],
  ]);
  assert.equal(
    transposed([
      [1, 2, 3],
      [4, 5, 6],
    ]),
    [
      [1, 4],
      [2, 5],
      [3, 6],
    ],
  );
  assert.equal(transposed([]), []);
  assert.equal(inColumns([10, 11, 20, 21], 2, [1, 0]), Float64Array.of(11, 20));
});

test("a name that a table lacks is refused with the one that was meant", () => {
  const table = { joint: 1, boost: 2 };
  assert.is(lookUp("train: method", table, "boost"), 2);
  const refused = 'train: method must be one of joint, boost; got "bost". Did you mean boost?';
  assert.throws(
    () => lookUp("train: method", table, "bost"),
    (error: unknown) => (error as Error).message === refused,
  );
  assert.throws(() => lookUp("train: method", table, "toString"), /got "toString"/);
});
