// Generators: streams that move on, masks that the backward pass draws again, and captured steps that equal eager ones.

import {
  add,
  backward,
  capture,
  dropout,
  Generator,
  ones,
  rand,
  randint,
  randn,
  scope,
  sum,
  type Tensor,
} from "../../engine/index.ts";
import { randomUniform } from "../../engine/random.ts";
import { gpuSuite } from "../gpu.ts";
import { assert, failsWith } from "../harness.ts";

const test = gpuSuite("random");

test("a generator's draws are those of its seed, numbered within the step", async () => {
  using generator = new Generator({ seed: 4, stream: 2 });
  const [a, b] = [rand([5], { generator }), rand([5], { generator })];
  generator.advance();
  const c = rand([5], { generator });
  assert.equal(await a.read(), randomUniform(5, { seed: 4, stream: 2, call: 0 }));
  assert.equal(await b.read(), randomUniform(5, { seed: 4, stream: 2, call: 1 }));
  assert.equal(await c.read(), randomUniform(5, { seed: 4, stream: 2, step: 1, call: 0 }));
});

test("the gradient of dropout has the mask of its forward pass", async () => {
  using generator = new Generator({ seed: 1 });
  const x = ones([257]).requiresGrad();
  const y = dropout(x, { p: 0.5, generator });
  dropout(ones([257]), { p: 0.5, generator });
  backward(sum(y));
  assert.equal(await x.grad.read(), await y.read());
});

test("a step forward between draw and gradient is refused", async () => {
  using generator = new Generator({ seed: 1 });
  const y = dropout(ones([4]).requiresGrad(), { p: 0.5, generator });
  generator.advance();
  await failsWith(
    () => backward(sum(y)),
    "GradientError",
    "backward: values that dropout saved must be unchanged; state, u32[4], was written in place afterwards.",
  );
});

const step = (generator: Generator): Tensor => {
  generator.advance();
  const x = ones([64]).requiresGrad();
  const y = dropout(dropout(x, { p: 0.3, generator }), { p: 0.3, generator });
  backward(sum(y));
  return add(x.grad, y);
};

test("replays draw anew, and equal eager steps bit for bit", async () => {
  using generator = new Generator({ seed: 3 });
  const eager: unknown[] = [];
  for (let i = 0; i < 3; i++) eager.push(await scope(() => step(generator)).read());
  using again = new Generator({ seed: 3 });
  using captured = await capture({ state: [again] }, () => step(again));
  for (const want of eager) assert.equal(await captured.run({}).read(), want);
  assert.not.equal(eager[0], eager[1]);
});

test("a captured step advances even where it was not told to", async () => {
  using generator = new Generator({ seed: 3 });
  using captured = await capture({ state: [generator] }, () => rand([8], { generator }));
  const first = await captured.run({}).read();
  const second = await captured.run({}).read();
  assert.equal(first, randomUniform(8, { seed: 3, step: 1 }));
  assert.equal(second, randomUniform(8, { seed: 3, step: 2 }));
  // The same step as the last replay, but another draw.
  assert.equal(await rand([8], { generator }).read(), randomUniform(8, { seed: 3, step: 2, call: 1 }));
  // As little where a step of one's own lies in between.
  generator.advance();
  assert.equal(await rand([8], { generator }).read(), randomUniform(8, { seed: 3, step: 3 }));
  assert.equal(await captured.run({}).read(), randomUniform(8, { seed: 3, step: 4 }));
  for (const call of [1, 2])
    assert.equal(await rand([8], { generator }).read(), randomUniform(8, { seed: 3, step: 4, call }));
});

test("a generator that a capture was not told of is refused", async () => {
  using generator = new Generator({ seed: 3 });
  await failsWith(
    () => capture({}, () => rand([8], { generator })),
    "CaptureError",
    "capture: what the step writes in place must be declared as state; Generator.advance writes a tensor from outside that is not.",
  );
});

test("errors name the call, the rule and what came", async () => {
  await failsWith(
    () => rand([2], {} as { seed: number }),
    "ArgumentError",
    "rand: a seed or a generator must be given; got neither. Pass { seed: 1 }.",
  );
  using generator = new Generator({ seed: 1 });
  await failsWith(
    () => rand([2], { generator, seed: 2 } as { generator: Generator }),
    "ArgumentError",
    "rand: a seed or a generator must be given; got both.",
  );
  await failsWith(
    () => randn([2], { seed: -1 }),
    "ArgumentError",
    "randn: seed must be a whole number in 0..2^53 - 1; got -1.",
  );
  await failsWith(
    () => randint([2], { low: 3, high: 3, seed: 1 }),
    "ArgumentError",
    "randint: low < high must be whole numbers of 32 bits; got low 3, high 3.",
  );
  await failsWith(
    () => dropout(ones([2]), { p: 1.5, seed: 1 }),
    "ArgumentError",
    "dropout: p must be in 0..1; got 1.5.",
  );
  await failsWith(
    () => rand([-1], { seed: 1 }),
    "ShapeError",
    "rand: a shape must be a list of non-negative integers; got [-1].",
  );
});
