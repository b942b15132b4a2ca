// Parts of parsed objects: what their readers find is their type, and a fault names its place.

import { json } from "../../base/index.ts";
import { assert, failsWith, suite } from "../harness.ts";

const test = suite("json reader");

const read = json.record({
  name: json.text,
  sizes: json.list(json.count),
  inner: json.record({ level: json.optional(json.level), mode: json.oneOf(["a", "b"]) }),
});

test("a part is of the type that its reader finds, one that may be absent optional; others stay", () => {
  const found = read({ name: "x", sizes: [1, 2], inner: { mode: "b" }, more: 1 }, "file");
  const typed: { readonly name: string; readonly sizes: number[]; readonly inner: { readonly mode: "a" | "b" } } =
    found;
  assert.equal(typed, { name: "x", sizes: [1, 2], inner: { mode: "b" }, more: 1 });
  const level: number | undefined = found.inner.level;
  assert.is(level, undefined);
  assert.not.ok("level" in found.inner);
  // @ts-expect-error a text is no number
  const wrong: number = found.name;
  assert.is(wrong as unknown, "x");
});

test("a part that does not fit is refused by its place", async () => {
  const fails = (given: unknown, message: string) => failsWith(() => read(given, "file"), "SortieError", message);
  const good = { name: "x", sizes: [], inner: { mode: "a" } };
  await fails({ ...good, sizes: [1, -1] }, "file.sizes[1] must be a whole number of at least 0; got -1.");
  await fails({ ...good, inner: { mode: "c" } }, 'file.inner.mode must be one of a, b; got "c".');
  await fails({ ...good, inner: null }, "file.inner must be an object; got null.");
  await fails({ ...good, name: undefined }, "file.name must be a text; got nothing.");
});
