// Methods that weigh samples and exits: their losses against formulas in float64, what they keep from step to step,
// what their heads say, and what they refuse.

import { createTable } from "../../calibration/index.ts";
import { randn, read, type Tensor, tensor } from "../../engine/index.ts";
import {
  adaloss,
  beem,
  certifiedCgt,
  type ExitRecord,
  eefpCgt,
  eenet,
  exitTargets,
  experts,
  Head,
  l2wDen,
  METHODS,
  type Numbers,
  type PhaseSite,
  selectiveLosses,
  type WrapSite,
} from "../../exits/index.ts";
import { epochNumbers, layOut } from "../../exits/training/phases.ts";
import { EVAL } from "../../nn/index.ts";
import { checkCase } from "../engine/ops/check.ts";
import { device, gpuSuite } from "../gpu.ts";
import { assert, failsWith } from "../harness.ts";
import { caseOf, ce, indexOfMost, logP, type Row, sigmoid, total } from "./loss-formulas.ts";
import { exitWeightsAt, lossOf, trackOf } from "./track.ts";
import { WEIGHTING_FORMULAS } from "./weighting-formulas.ts";

const formulas = gpuSuite("exits: methods that weigh agree with their formulas in float64", { timeout: 120_000 });
for (const [name, formula] of Object.entries(WEIGHTING_FORMULAS))
  formulas(name, () => checkCase(device(), name, caseOf(formula), 1));

const test = gpuSuite("exits: methods that weigh");
const close = (got: ArrayLike<number>, want: readonly number[], tolerance = 1e-5) => {
  assert.is(got.length, want.length);
  want.forEach((x, i) => {
    assert.ok(Math.abs(got[i]! - x) <= tolerance * (1 + Math.abs(x)), `element ${i}: ${got[i]} for ${x}`);
  });
};
const site = (exits: number, classes: number): PhaseSite => ({
  exits,
  classes,
  costs: Array.from({ length: exits }, (_, j) => (j + 1) / exits),
  placeOf: () => ({ exit: 0, isHead: true }),
});
const tensorsOf = (numbers: Numbers): Record<string, Tensor> =>
  Object.fromEntries(Object.entries(numbers).map(([name, { data, shape }]) => [name, tensor(data, { shape })]));
const nothing = { logits: () => Promise.reject(new Error("no logits")) };

test("exit weights by depth: a share of all for experts, half of that for EENet, whose agreement comes late", () => {
  close(exitWeightsAt(beem.with(), 3), [1 / 6, 2 / 6, 3 / 6]);
  close(exitWeightsAt(eenet.with(), 3), [1 / 12, 2 / 12, 3 / 12]);
  const ramp = (epoch: number) => trackOf(eenet.with(), 3).ramp!({ epoch, epochs: 8 });
  assert.equal([1, 6, 7, 8].map(ramp), [0, 0, 0, 1]);
  assert.equal(
    eenet
      .with({ scheduler: 0 })
      .phases(site(3, 10))
      .map(({ name }) => name),
    ["network"],
  );
});

test("AdaLoss starts from equal weights, and keeps its running means from step to step", async () => {
  const [phase] = adaloss.with({ decay: 0.5 }).phases(site(3, 5));
  const numbers = tensorsOf(await phase.prepare!(nothing));
  close(await numbers["means"]!.read(), new Array(3).fill(Math.log(5)));
  const logits = randn([6, 3, 5], { seed: 9 }).mul(2).detach();
  const labels = tensor(Int32Array.of(2, 0, 4, 1, 3, 2));
  const batch = { logits, labels, exitWeights: tensor([1, 1, 1]), numbers };
  for (let i = 0; i < 2; i++) lossOf(adaloss.with({ decay: 0.5 }), batch);
  const z = await logits.read();
  const rows = (i: number, j: number) => Array.from(z.subarray((3 * i + j) * 5, (3 * i + j + 1) * 5));
  const means = [0, 1, 2].map((j) => total([2, 0, 4, 1, 3, 2].map((y, i) => ce(rows(i, j), y))) / 6);
  close(
    await numbers["means"]!.read(),
    means.map((mean) => 0.25 * Math.log(5) + 0.75 * mean),
  );
});

/** A head that says what it is given. */
class Saying extends Head {
  readonly #logits: Tensor;

  constructor(logits: Tensor) {
    super();
    this.#logits = logits;
  }

  forward(): Tensor {
    return this.#logits;
  }
}

test("experts that agree add up their confidence, by depth", async () => {
  const said = [randn([40, 3], { seed: 2 }), randn([40, 3], { seed: 3 })].map((x) => x.mul(2).detach());
  const { wrap } = experts();
  const records: ExitRecord[] = [];
  for (const [exit, logits] of said.entries()) {
    const head = wrap(new Saying(logits), { exit, exits: 3, classes: 3 } as WrapSite);
    records.push(head.forward(logits, EVAL, records) as ExitRecord);
  }
  const [first, second, c1, c2] = (await read([
    records[0]!.logits,
    records[1]!.logits,
    records[0]!["confidence"]!,
    records[1]!["confidence"]!,
  ])) as Float32Array[];
  let agreeing = 0;
  for (let i = 0; i < 40; i++) {
    const [a, b] = [first!, second!].map((z) => Array.from(z.subarray(3 * i, 3 * i + 3))) as unknown as [Row, Row];
    const sure = (z: Row) => Math.exp(Math.max(...logP(z)));
    const alike = indexOfMost(a) === indexOfMost(b);
    agreeing += Number(alike);
    close([sigmoid(c1![i]!), sigmoid(c2![i]!)], [sure(a) / 6, (2 * sure(b)) / 6 + (alike ? sure(a) / 6 : 0)]);
  }
  assert.ok(agreeing > 0 && agreeing < 40, `${agreeing} of 40 agree`);
});

test("thresholds of a round are certified on validation; those that cannot be are out of reach", async () => {
  const [, second] = certifiedCgt.with({ rounds: 2 }).phases(site(3, 2));
  const n = 600;
  const rows = (sureness: number, errors: number) =>
    createTable({
      shape: [n, 3, 2],
      logits: Float32Array.from({ length: n * 6 }, (_, k) => {
        const i = Math.floor(k / 6);
        const says = i % 100 < errors ? 1 : 0;
        return k % 2 === says ? sureness + ((i * 7) % 11) / 10 : 0;
      }),
      labels: new Int32Array(n),
      ids: Array.from({ length: n }, (_, i) => i),
      macs: [1, 2, 3],
    });
  const of = async (table: ReturnType<typeof rows>) => (await second!.prepare!({ logits: async () => table }))["tau"]!;
  const good = await of(rows(2, 1));
  assert.equal(good.shape, [2]);
  assert.ok(good.data[0]! < 1, `${good.data}`);
  assert.equal(Array.from((await of(rows(2, 60))).data), [2, 2]);
});

test("exit weights and ramps of phases that go on are those of one course", () => {
  const { tracks } = METHODS["sdn"]!.with({ maxima: [0.4, 0.8] }).phases(site(3, 4))[0]!;
  const weights = (name: string) =>
    layOut(METHODS[name]!.with({ exitWeights: { sdn: [0.4, 0.8] } }).phases(site(3, 4)), { epochs: 6 }, 5).map((span) =>
      [0, span.steps - 1].map((s) => epochNumbers(span.phase.tracks[0], 3, span.epochAt(s)).exitWeights),
    );
  const at = (epoch: number) => tracks[0].exitWeights!(3, { epoch, epochs: 6 });
  assert.equal(weights("certified-cgt"), [
    [at(1), at(2)],
    [at(3), at(4)],
    [at(5), at(6)],
  ]);
  assert.equal(weights("joint"), [[at(1), at(6)]]);
});

test("in a run of one epoch, gates on the targets of failure prediction are closed", () => {
  const { ramp } = trackOf(METHODS["eefp-cgt"]!.with(), 3);
  assert.equal(
    [ramp!({ epoch: 1, epochs: 1 }), ramp!({ epoch: 1, epochs: 2 }), ramp!({ epoch: 2, epochs: 2 })],
    [1, 0, 1],
  );
});

test("phases that go on share one course of the learning rate", () => {
  const phases = certifiedCgt.with().phases(site(3, 4));
  const [own] = METHODS["joint"]!.with().phases(site(3, 4));
  const schedule = { kind: "cosine", warmup: 4 } as const;
  const [whole] = layOut([own!], { epochs: 6, schedule }, 5);
  const rounds = layOut([...phases, { ...own!, share: 0.5 }], { epochs: 6, schedule }, 5);
  const rates = rounds.slice(0, 3).flatMap(({ lr, steps }) => Array.from({ length: steps }, (_, s) => lr(s)));
  assert.equal(
    rates,
    Array.from({ length: 30 }, (_, s) => whole!.lr(s)),
  );
  assert.equal(
    rounds.map(({ first, steps }) => [first, steps]),
    [
      [0, 10],
      [10, 10],
      [20, 10],
      [30, 15],
    ],
  );
  assert.is(rounds[3]!.lr(0), whole!.lr(0));
});

test("targets: right ones and hopeless ones leave, others go on", async () => {
  const says = (...classes: number[]) => classes.map((c) => [0, 1, 2].map((k) => Number(k === c)));
  const logits = tensor([says(0, 1, 1), says(1, 1, 0), says(1, 1, 1), says(1, 0, 1)]);
  const labels = tensor(Int32Array.of(0, 0, 0, 0));
  close(await exitTargets(logits, labels).read(), [1, 1, 0, 0, 1, 1, 0, 1]);
  close(await exitTargets(logits, labels, { futile: false }).read(), [1, 0, 0, 0, 0, 0, 0, 1]);
});

test("gates on targets close over the first half of the epochs", () => {
  const ramp = (epoch: number) => trackOf(eefpCgt.with(), 3).ramp!({ epoch, epochs: 8 });
  assert.equal([1, 3, 5, 8].map(ramp), [0, 0.5, 1, 1]);
});

test("choices that vanish leave a selective loss finite", async () => {
  const logits = randn([6, 3, 5], { seed: 9 });
  const labels = tensor(Int32Array.of(2, 0, 4, 1, 3, 2));
  const confidence = tensor(Array.from({ length: 6 }, () => [-300, 300]));
  const losses = await selectiveLosses(logits, confidence, labels).read();
  assert.ok(losses.every(Number.isFinite), `${losses}`);
});

const [M, K, C, D] = [41, 3, 5, 6] as const;

/** What the meta loss is told besides logits, features and labels. */
interface Weighing {
  readonly w: Record<string, Row>;
  readonly hidden: number;
  readonly smoothing: number;
}

/** The meta loss of both halves, in float64, of a weighing network. */
function metaLoss(z: readonly Row[][], f: readonly Row[][], y: Row, { w, hidden, smoothing }: Weighing): number {
  const target = (label: number, c: number) => (1 - smoothing) * Number(c === label) + smoothing / C;
  const losses = z.map((rows, i) => rows.map((row) => -total(logP(row).map((p, c) => p * target(y[i]!, c)))));
  const out = (row: Row) => {
    const h = Array.from({ length: hidden }, (_, a) => {
      return Math.max(0, total(row.map((l, k) => l * w["w1"]![k * hidden + a]!)) + w["b1"]![a]!);
    });
    return row.map((_, k) => Math.tanh(total(h.map((v, a) => v * w["w2"]![a * K + k]!)) + w["b2"]![k]!));
  };
  const middle = Math.floor(M / 2);
  const halves = [
    Array.from({ length: middle }, (_, i) => i),
    Array.from({ length: M - middle }, (_, i) => middle + i),
  ] as const;
  const after = (own: readonly number[], other: readonly number[]) => {
    const outs = own.map((i) => out(losses[i]!));
    const mean = total(outs.flat()) / (own.length * K);
    const weights = outs.map((row) => row.map((o) => 1 + 0.3 * (o - mean)));
    const moved = other.map((m) =>
      z[m]!.map((row, j) =>
        row.map((v, c) => {
          const steps = own.map((i, at) => {
            const wrong = Math.exp(logP(z[i]![j]!)[c]!) - target(y[i]!, c);
            const alike = j < K - 1 ? total(f[i]![j]!.map((x, d) => x * f[m]![j]![d]!)) : 0;
            return weights[at]![j]! * (alike + 1) * wrong;
          });
          return v - (0.1 / own.length) * total(steps);
        }),
      ),
    );
    // The surest of those left, as many as an exit's share.
    const left = new Set(other.map((_, at) => at));
    const shares = [1, 0.75, 0.75 ** 2];
    const answered = shares.map((share, j) => {
      const sure = (at: number) => Math.max(...logP(moved[at]![j]!));
      const sorted = [...left].sort((a, b) => sure(b) - sure(a));
      const chosen = j === K - 1 ? sorted : sorted.slice(0, Math.floor((share / total(shares)) * other.length));
      for (const at of chosen) left.delete(at);
      return total(chosen.map((at) => ce(moved[at]![j]!, y[other[at]!]!))) / Math.max(1, chosen.length);
    });
    return total(answered);
  };
  return after(halves[0], halves[1]) + after(halves[1], halves[0]);
}

test("L2W-DEN's weighing network goes down the gradient of what a step under its weights does, and keeps its moments", async () => {
  await checkWeigher(0);
});

test("L2W-DEN's step ahead is by the smoothed labels of its loss", async () => {
  await checkWeigher(0.4);
});

/** Compares a step of the weighing network with differences of its loss. */
async function checkWeigher(smoothing: number): Promise<void> {
  const hidden = 7;
  const plan = l2wDen.with({ hidden, metaWeightDecay: 0, labelSmoothing: smoothing });
  const first = await plan.phases(site(K, C))[0].prepare!(nothing);
  const numbers = tensorsOf(first);
  const logits = randn([M, K, C], { seed: 3 }).mul(2).detach();
  const features = [randn([M, D], { seed: 4 }), randn([M, D], { seed: 5 }), undefined];
  const y = Array.from({ length: M }, (_, i) => (i * 3) % C);
  const labels = tensor(Int32Array.from(y));
  const loss = lossOf(plan, { logits, labels, exitWeights: tensor([1, 1, 1]), numbers, features });
  const w = Object.fromEntries(["w1", "b1", "w2", "b2"].map((name) => [name, Array.from(first[name]!.data)]));
  const all = await logits.read();
  const z = y.map((_, i) => [0, 1, 2].map((j) => Array.from(all.subarray((K * i + j) * C, (K * i + j + 1) * C))));
  const said = (await read([features[0]!, features[1]!])) as Float32Array[];
  const f = y.map((_, i) => said.map((rows) => Array.from(rows.subarray(i * D, (i + 1) * D))));
  const step = 1e-4;
  for (const name of ["w1", "b1", "w2", "b2"]) {
    const [moments, moved] = (await read([numbers[`${name}.mean`]!, numbers[name]!])) as Float32Array[];
    const gradient = w[name]!.map((value, i) => {
      const at = (shift: number) =>
        metaLoss(z, f, y, {
          w: { ...w, [name]: w[name]!.map((v, k) => (k === i ? value + shift : v)) },
          ...{ hidden, smoothing },
        });
      return (at(step) - at(-step)) / (2 * step);
    });
    close(
      moments!,
      gradient.map((g) => 0.1 * g),
      2e-5,
    );
    // Adam's first step is its rate, whatever the gradient's size.
    gradient.forEach((g, i) => {
      if (Math.abs(g) > 1e-4)
        assert.ok(Math.abs(moved![i]! - w[name]![i]! + 1e-4 * Math.sign(g)) < 2e-6, `${name} ${i}`);
    });
  }
  assert.equal(Array.from(await numbers["steps"]!.read()), [1]);
  assert.ok(Number.isFinite(await loss.item()));
}

test("images with two labels are refused where a label is looked at", async () => {
  const logits = randn([6, 3, 5], { seed: 9 });
  const labels = tensor(Int32Array.of(2, 0, 4, 1, 3, 2));
  const mixed = { labels, share: tensor(new Float32Array(6).fill(0.5)) };
  for (const [name, what] of [
    ["certified-cgt", "a hard gate"],
    ["eefp-cgt", "a target"],
    ["selective-net", "a selective risk"],
    ["l2w-den", "the step ahead"],
  ] as const) {
    await failsWith(
      () => lossOf(METHODS[name]!.with(), { logits, labels, mixed, exitWeights: tensor([1, 1, 1]) }),
      "ArgumentError",
      `${name}: images must have one label, which ${what} looks at; got images blended by mixup. Train without mixup, or by joint.`,
    );
  }
  // Where every gate is open, none is looked at.
  for (const plan of [
    METHODS["certified-cgt"]!.with({ control: true }),
    METHODS["certified-cgt"]!.with({ right: false }),
    METHODS["eefp-cgt"]!.with({ control: true }),
  ])
    assert.ok(Number.isFinite(await lossOf(plan, { logits, labels, mixed, exitWeights: tensor([1, 1, 1]) }).item()));
});
