// Random streams: the published generator, and the same numbers on every platform.

import { philox } from "../../base/index.ts";
import { exp, log, sinCos } from "../../data/numeric.ts";
import { Stream, shuffledOrder } from "../../data/random.ts";
import { assert, failsWith, suite } from "../harness.ts";

const test = suite("data random");

test("a stream is the blocks of its counter", () => {
  const stream = new Stream(2 ** 32 * 7 + 5, "", 3, 4);
  const got = Array.from({ length: 8 }, () => stream.word());
  const blocks = [0, 1].flatMap((i) => {
    // The hash of the empty name is FNV's offset basis.
    const block = Uint32Array.of(i, 3, 4, 0x811c9dc5);
    philox(block, 5, 7);
    return [...block];
  });
  assert.equal(got, blocks);
});

test("seed, purpose, a and b each give another stream", () => {
  const first = (...args: ConstructorParameters<typeof Stream>) => new Stream(...args).word();
  const words = [
    first(1, "a"),
    first(2, "a"),
    first(2 ** 32 + 1, "a"),
    first(1, "b"),
    first(1, "a", 1),
    first(1, "a", 0, 1),
  ];
  assert.is(new Set(words).size, words.length);
  assert.is(first(1, "a"), first(1, "a", 0, 0));
});

test("uniforms, integers and normals have their moments", () => {
  const stream = new Stream(3, "moments");
  const n = 20_000;
  const moments = (draw: () => number): [number, number] => {
    const values = Array.from({ length: n }, draw);
    const mean = values.reduce((a, b) => a + b) / n;
    return [mean, values.reduce((a, b) => a + (b - mean) ** 2, 0) / n];
  };
  const near = ([mean, variance]: [number, number], expected: [number, number]) => {
    assert.ok(Math.abs(mean - expected[0]) < (4 * Math.sqrt(expected[1])) / Math.sqrt(n), `mean ${mean}`);
    assert.ok(Math.abs(variance / expected[1] - 1) < 0.06, `variance ${variance}`);
  };
  near(
    moments(() => stream.uniform()),
    [0.5, 1 / 12],
  );
  near(
    moments(() => stream.integer(6)),
    [2.5, 35 / 12],
  );
  near(
    moments(() => stream.normal()),
    [0, 1],
  );
  near(
    moments(() => stream.between(-3, 1)),
    [-1, 16 / 12],
  );
});

test("a permutation has every number once, and every order alike", () => {
  assert.equal(
    [...shuffledOrder(100, new Stream(1, "p"))].sort((a, b) => a - b),
    Array.from({ length: 100 }, (_, i) => i),
  );
  const counts = new Map<string, number>();
  for (let i = 0; i < 6000; i++) {
    const key = shuffledOrder(3, new Stream(1, "orders", i)).join();
    counts.set(key, (counts.get(key) ?? 0) + 1);
  }
  assert.is(counts.size, 6);
  // Chi square with 5 degrees of freedom: 20.5 is passed once in 1000.
  const chi = [...counts.values()].reduce((sum, count) => sum + (count - 1000) ** 2 / 1000, 0);
  assert.ok(chi < 20.5, `chi square ${chi}`);
});

test("elementary functions agree with Math", () => {
  for (let x = -40; x <= 40; x += 0.0371) {
    const [sin, cos] = sinCos(x);
    assert.ok(Math.abs(sin - Math.sin(x)) < 2e-15, `sin ${x}`);
    assert.ok(Math.abs(cos - Math.cos(x)) < 2e-15, `cos ${x}`);
    assert.ok(Math.abs(exp(x) / Math.exp(x) - 1) < 1e-13, `exp ${x}`);
    const positive = Math.exp(x);
    assert.ok(Math.abs(log(positive) - Math.log(positive)) < 1e-15 * Math.max(1, Math.abs(x)), `log ${positive}`);
  }
});

test("a seed or a counter that would be cut to another one is refused", async () => {
  for (const [given, message] of [
    [Number.NaN, "Stream: seed must be a whole number in 0..2^53 - 1; got NaN."],
    [1.5, "Stream: seed must be a whole number in 0..2^53 - 1; got 1.5."],
  ] as const)
    await failsWith(() => new Stream(given, "order"), "DataError", message);
  await failsWith(
    () => new Stream(1, "order", 0.5),
    "DataError",
    "Stream: a must be a whole number in 0..2^53 - 1; got 0.5.",
  );
});
