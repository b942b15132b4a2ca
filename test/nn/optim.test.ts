// Optimisers as users meet them: parameter lists, exclusions from decay, clipping, schedules, captured steps,
// checkpoints.

import {
  backward,
  capture,
  Flat,
  flatten,
  mul,
  noGrad,
  ones,
  randn,
  read,
  scope,
  square,
  sub,
  sum,
  type Tensor,
  tensor,
} from "../../engine/index.ts";
import {
  Adam,
  AdamW,
  clipGradNorm,
  EMA,
  isMatrix,
  type Optimizer,
  type ParameterList,
  RMSprop,
  SGD,
} from "../../nn/index.ts";
import { device, gpuSuite } from "../gpu.ts";
import { assert, failsWith } from "../harness.ts";

const test = gpuSuite("optimisers");

const parameters = (): Tensor[] => [randn([3, 5], { seed: 1 }).requiresGrad(), randn([70], { seed: 2 }).requiresGrad()];

/** Frees what an optimiser and the parameters it flattened hold. */
function release(optimizer: Optimizer): void {
  optimizer.dispose();
  optimizer.flat.dispose();
}

/** The loss sum (w - 1)^2 over all parameters, differentiated. */
function descend(list: readonly Tensor[]): void {
  for (const w of list) backward(sum(square(sub(w, 1))));
}

const makers: Readonly<Record<string, (list: ParameterList) => Optimizer>> = {
  SGD: (list) => new SGD(list, { lr: 0.1, momentum: 0.9, nesterov: true, weightDecay: 0.01, clip: { maxNorm: 1 } }),
  "SGD with dampening": (list) => new SGD(list, { lr: 0.1, momentum: 0.9, dampening: 0.5 }),
  Adam: (list) => new Adam(list, { lr: 0.1, amsgrad: true }),
  AdamW: (list) => new AdamW(list, { lr: 0.1, decays: isMatrix, clip: { maxNorm: 0.5, normType: "inf" } }),
  RMSprop: (list) => new RMSprop(list, { lr: 0.05, momentum: 0.5, centered: true }),
  "RMSprop with all it can have": (list) =>
    new RMSprop(list, {
      ...{ lr: 0.05, momentum: 0.5, centered: true, weightDecay: 0.01 },
      ...{ decays: isMatrix, clip: { maxNorm: 1 } },
    }),
};

for (const [name, make] of Object.entries(makers)) {
  test(`${name}: captured steps equal eager ones bit for bit while rate and momentum change`, async () => {
    const rate = (t: number) => 0.1 / (t + 1);
    const run = async (isCaptured: boolean, isScalar = false): Promise<ArrayLike<number>[]> => {
      const list = parameters();
      const optimizer = make(list);
      const step = (lr?: Tensor) => {
        optimizer.zeroGrad();
        descend(list);
        optimizer.step(lr ? { lr } : {});
      };
      const captured = isCaptured
        ? await capture({ state: [optimizer], scalars: { lr: 1 } }, (_, { lr }) => step(isScalar ? lr : undefined))
        : undefined;
      for (let t = 0; t < 4; t++) {
        if (!isScalar) optimizer.lr = rate(t);
        optimizer.momentum = 0.3 + 0.1 * t;
        if (captured) captured.run({}, { lr: rate(t) });
        else scope(() => step());
      }
      const values = await Promise.all(list.map((w) => w.read()));
      captured?.dispose();
      release(optimizer);
      return values;
    };
    const [eager, replayed] = [await run(false), await run(true)];
    assert.equal(replayed, eager);
    assert.equal(await run(true, true), eager);
    assert.ok(Array.from(eager[0] as ArrayLike<number>).every(Number.isFinite));
  });

  test(`${name} comes closer to the minimum`, async () => {
    const list = parameters();
    const optimizer = make(list);
    const distance = async () => {
      const apart = noGrad(() => list.map((w) => sum(square(sub(w, 1)))));
      return (await Promise.all(apart.map((one) => one.item()))).reduce((a, b) => a + b);
    };
    const before = await distance();
    for (let t = 0; t < 20; t++) {
      optimizer.zeroGrad();
      scope(() => descend(list));
      optimizer.step();
    }
    assert.ok((await distance()) < before / 2);
    release(optimizer);
  });
}

test("a captured step takes its rate as a scalar", async () => {
  const w = tensor([1, 2]).requiresGrad();
  const optimizer = new SGD([w], { lr: 9 });
  const step = await capture({ state: [optimizer], scalars: { lr: 0.5 } }, (_, { lr }) => {
    optimizer.zeroGrad();
    backward(sum(w));
    optimizer.step({ lr });
  });
  step.run({});
  assert.equal([...(await w.read())], [0.5, 1.5]);
  step.run({}, { lr: 0.25 });
  assert.equal([...(await w.read())], [0.25, 1.25]);
  step.dispose();
  release(optimizer);
});

test("decays leaves parameters out of weight decay", async () => {
  const [weight, bias] = [ones([65, 2]).requiresGrad(), ones([3]).requiresGrad()];
  const optimizer = new SGD([weight, bias], { lr: 1, weightDecay: 0.25, decays: isMatrix });
  backward(mul(sum(weight), 0));
  backward(mul(sum(bias), 0));
  optimizer.step();
  assert.ok([...(await weight.read())].every((value) => value === 0.75));
  assert.equal([...(await bias.read())], [1, 1, 1]);
  release(optimizer);
});

test("a parameter without gradient is treated as having zeros, also after it had one", async () => {
  const [a, b] = [ones([2]).requiresGrad(), ones([2]).requiresGrad()];
  const optimizer = new SGD([a, b], { lr: 1 });
  backward(sum(b));
  optimizer.step();
  optimizer.zeroGrad();
  backward(sum(a));
  optimizer.step();
  assert.equal([...(await a.read()), ...(await b.read())], [0, 0, 0, 0]);
  release(optimizer);
});

/** Values after steps on parameters that lie in one flat buffer, or in several. */
async function trained(
  make: (list: ParameterList) => Optimizer,
  mostBytes: number | undefined,
  isCaptured: boolean,
): Promise<{ parts: number; moments: readonly string[]; values: number[]; norm: number }> {
  const list = [1, 2, 3, 4].map((seed) => randn([seed === 1 ? 3 : 1, 50], { seed }).requiresGrad());
  const flat = flatten(list, mostBytes === undefined ? {} : { mostBytes });
  const optimizer = make(flat);
  const step = () => {
    optimizer.zeroGrad();
    // The third parameter never gets a gradient.
    descend(list.filter((_, i) => i !== 2));
    optimizer.step();
  };
  const captured = isCaptured ? await capture({ state: [optimizer] }, step) : undefined;
  for (let t = 0; t < 3; t++) {
    if (captured) captured.run({});
    else scope(step);
  }
  const data = await read(list);
  const norm = await clipGradNorm(flat, { maxNorm: 1 }).item();
  const moments = [...optimizer.moments.keys()];
  captured?.dispose();
  optimizer.dispose();
  flat.dispose();
  return { parts: flat.parts.length, moments, values: data.flatMap((x) => [...x]), norm };
}

for (const [name, make] of Object.entries(makers)) {
  test(`${name}: parameters of more than one binding train as those of one`, async () => {
    const one = await trained(make, undefined, false);
    assert.is(one.parts, 1);
    for (const isCaptured of [false, true]) {
      // Room for 150 numbers and their padding: the first parameter alone, then two and one.
      const many = await trained(make, 256 * 3, isCaptured);
      assert.is(many.parts, 2);
      assert.equal(
        many.moments.filter((key) => !key.includes(".")),
        one.moments.filter((key) => !key.includes(".")),
      );
      assert.ok(Math.abs(many.norm / one.norm - 1) < 1e-6, `norms ${many.norm} and ${one.norm}`);
      many.values.forEach((x, i) => {
        assert.ok(Math.abs(x - one.values[i]!) <= 1e-6 * (1 + Math.abs(x)), `${i}: ${x} and ${one.values[i]}`);
      });
    }
  });
}

test("a flat buffer of several parts has no single tensor of values", async () => {
  const flat = flatten([ones([64]).requiresGrad(), ones([64]).requiresGrad()], { mostBytes: 256 });
  assert.equal([flat.parts.length, flat.size, flat.segments.length, flat.state.length], [2, 128, 2, 4]);
  await failsWith(
    () => flat.values,
    "GradientError",
    "flat: values must lie in one buffer; got 2, since one holds no more here. Go through parts.",
  );
  flat.dispose();
});

test("clipGradNorm returns the norm and scales what the leaves show", async () => {
  const w = tensor([3, 4]).requiresGrad();
  const optimizer = new SGD([w], { lr: 1 });
  backward(sum(mul(w, tensor([3, 4]))));
  const norm = clipGradNorm(optimizer.flat, { maxNorm: 1 });
  assert.equal([...(await norm.read())], [5]);
  const clipped = await w.grad.read();
  assert.ok(Math.abs((clipped[0] as number) - 0.6) < 1e-6 && Math.abs((clipped[1] as number) - 0.8) < 1e-6);
  release(optimizer);
});

test("clipGradNorm zeroes what is finite beside an infinite gradient", async () => {
  const w = tensor([1, 2, 3]).requiresGrad();
  const optimizer = new SGD([w], { lr: 1 });
  backward(sum(mul(w, tensor([3, Number.POSITIVE_INFINITY, 4]))));
  const norm = clipGradNorm(optimizer.flat, { maxNorm: 1 });
  assert.equal([...(await norm.read())], [Number.POSITIVE_INFINITY]);
  const [first, infinite, last] = await w.grad.read();
  assert.equal([first, last], [0, 0]);
  assert.ok(Number.isNaN(infinite), `${infinite}`);
  release(optimizer);
});

test("averages follow a flat buffer, at a decay that may change", async () => {
  const w = tensor([1, 2]).requiresGrad();
  const optimizer = new SGD([w], { lr: 1 });
  using ema = new EMA([optimizer.flat.values], { decay: 0.5 });
  backward(sum(w));
  optimizer.step();
  ema.update();
  assert.equal([...(await (ema.averages[0] as Tensor).read())].slice(0, 2), [0.5, 1.5]);
  assert.is(ema.decay, 0.5);
  assert.is(optimizer.lr, 1);
  ema.decay = 0.75;
  assert.is(ema.decay, 0.75);
  ema.update();
  assert.equal([...(await (ema.averages[0] as Tensor).read())].slice(0, 2), [0.375, 1.375]);
  release(optimizer);
});

test("moments and the step counter can be saved and put back", async () => {
  const run = async (cut: boolean): Promise<ArrayLike<number>> => {
    const w = tensor([1, 2]).requiresGrad();
    let optimizer = new Adam([w], { lr: 0.1 });
    for (let t = 0; t < 4; t++) {
      if (cut && t === 2) {
        const saved = await Promise.all(
          [...optimizer.moments].map(async ([name, moment]) => [name, await moment.read()] as const),
        );
        const next = new Adam(optimizer.flat, { lr: 0.1 });
        optimizer.dispose();
        optimizer = next;
        for (const [name, data] of saved) optimizer.moments.get(name)?.write(data);
      }
      optimizer.zeroGrad();
      scope(() => backward(sum(square(w))));
      optimizer.step();
    }
    const values = await w.read();
    release(optimizer);
    return values;
  };
  assert.equal(await run(true), await run(false));
});

test("errors name the method, the rule and what came", async () => {
  const list = [ones([2]).requiresGrad()];
  const fails = (make: () => unknown, message: string) => failsWith(make, "ArgumentError", message);
  await fails(() => new SGD(list, { lr: -1 }), "SGD: lr must be a number of at least 0; got -1.");
  await fails(
    () => new SGD(list, { lr: 1, nesterov: true }),
    "SGD: nesterov needs momentum above 0 and no dampening; got momentum 0, dampening 0.",
  );
  await fails(() => new AdamW(list, { lr: 1, beta2: 1 }), "AdamW: beta2 must be in [0, 1); got 1.");
  await fails(
    () => new EMA([], { decay: 0.5 }),
    "EMA: there must be as many targets as sources, and some; got 0 and 0.",
  );
  const optimizer = new SGD(list, { lr: 1 });
  assert.instance(optimizer.flat, Flat);
  await fails(() => {
    optimizer.momentum = 0.9;
  }, "SGD: momentum can change only where there was some at the start; got 0.9.");
  await fails(
    () => clipGradNorm(optimizer.flat, { maxNorm: -1 }),
    "gradNorm: maxNorm must be a number of at least 0; got -1.",
  );
  release(optimizer);
});

// The suite counts what lives on.
test("an average that is gone holds nothing of what it followed", async () => {
  const w = tensor([1, 2]).requiresGrad();
  await w.read();
  const { buffers } = device().memory();
  const average = new EMA([w], { decay: 0.9 });
  average.dispose();
  w.dispose();
  await device().sync();
  assert.is(device().memory().buffers, buffers - 1);
});
