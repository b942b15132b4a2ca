// The harness sees what it is there to see: each way in which a test, a hook or a suite can go wrong unnoticed.

import { assert, draftSuite, errorOf, failsWith, runSuite, type Suite, type SuiteOptions, suite } from "./harness.ts";

/** Runs a made-up suite; what failed, as `test: message`. */
async function failuresOf(declare: (test: Suite) => void, options: SuiteOptions = {}): Promise<string[]> {
  const { record, test } = draftSuite("made up", { timeout: 50, ...options });
  declare(test);
  const { failures } = await runSuite(record, () => true);
  return failures.map(({ test: name, error }) => `${name}: ${(error as Error).message}`);
}

const test = suite("harness");

test("passes what passes, in order, with hooks around", async () => {
  const log: string[] = [];
  const { record, test: inner } = draftSuite("made up");
  inner.before(() => log.push("before"));
  inner.beforeEach(() => log.push("("));
  inner.afterEach(() => log.push(")"));
  inner.after(() => log.push("after"));
  inner("a", () => log.push("a"));
  inner("b", async () => log.push("b"));
  inner("c", () => log.push("c"));
  const { passed, failures } = await runSuite(record, (name) => name !== "c");
  assert.equal([passed, failures.length], [2, 0]);
  assert.is(log.join(" "), "before ( a ) ( b ) after");
});

test("fails an error, a rejection, a wrong value", async () => {
  const failures = await failuresOf((inner) => {
    inner("throws", () => assert.is(1, 2, "one is two"));
    inner("rejects", () => Promise.reject(new Error("no")));
    inner("passes", () => {});
  });
  assert.equal(failures, ["throws: one is two", "rejects: no"]);
});

test("fails a test that never settles, and goes on, its hooks included", async () => {
  const log: string[] = [];
  const failures = await failuresOf((inner) => {
    inner.afterEach(() => log.push("after"));
    inner("hangs", () => new Promise(() => {}));
    inner("next", () => {});
  });
  assert.equal(failures, ["hangs: did not settle within 50 ms"]);
  assert.equal(log, ["after", "after"]);
});

test("fails hooks, and runs no test whose suite could not be set up", async () => {
  const broken = (): never => {
    throw new Error("broken");
  };
  const ran: string[] = [];
  assert.equal(
    await failuresOf((inner) => {
      inner.before(broken);
      inner("a", () => ran.push("a"));
    }),
    ["(before): broken"],
  );
  assert.equal(ran, []);
  assert.equal(
    await failuresOf((inner) => {
      inner.after(broken);
      inner("a", () => {});
    }),
    ["(after): broken"],
  );
  assert.equal(
    await failuresOf((inner) => {
      inner.afterEach(broken);
      inner("a", () => {});
    }),
    ["a: broken"],
  );
});

test("fails a suite without tests and a rejection that nobody awaited", async () => {
  assert.equal(await failuresOf(() => {}), ["(none): the suite has no test"]);
  const failures = await failuresOf((inner) => {
    inner("strays", async () => {
      void Promise.reject(new Error("stray"));
      await new Promise((resolve) => setTimeout(resolve, 5));
    });
  });
  assert.equal(failures, ["strays: stray"]);
});

test("refuses two tests of one name", async () => {
  const twice = (inner: Suite): void => {
    inner("a", () => {});
    inner("a", () => {});
  };
  await failsWith(() => failuresOf(twice), "Error", 'suite made up has two tests named "a".');
});

test("errorOf and failsWith fail where there is no error, or another one", async () => {
  assert.match((await errorOf(() => errorOf(() => 1))).message, /got none/);
  const other = (): never => {
    throw new TypeError("b");
  };
  assert.is((await errorOf(() => failsWith(other, "TypeError", "a"))).name, "Assertion");
  assert.is((await errorOf(() => failsWith(other, "RangeError", "b"))).name, "Assertion");
  await failsWith(other, "TypeError", "b");
});
