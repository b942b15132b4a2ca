// Every variant of the row kernels (softmax, cross-entropy, norms, attention) compiles and agrees with float64,
// whatever the adapter would choose: the texts for GPUs are checked on CPU adapters too.

import { attentionCandidates, attentionDims, attentionForward } from "../../kernels/attention/attention.ts";
import { attentionBackwardKey, attentionBackwardQuery } from "../../kernels/attention/attention-grad.ts";
import { type Spec, specText } from "../../kernels/kernel.ts";
import * as ce from "../../kernels/loss/cross-entropy.ts";
import * as bn from "../../kernels/norm/batch-norm.ts";
import { batchNormBackwardApply, batchNormBackwardSums, batchNormSumRows } from "../../kernels/norm/batch-norm-grad.ts";
import { columnSums } from "../../kernels/norm/column-sums.ts";
import * as gn from "../../kernels/norm/group-norm.ts";
import * as ln from "../../kernels/norm/layer-norm.ts";
import type { AdapterTraits } from "../../kernels/shared/adapter.ts";
import * as sm from "../../kernels/softmax.ts";
import { attentionOf } from "../engine/ops/attention.ts";
import { crossEntropyOf } from "../engine/ops/losses.ts";
import { type Ref, ref } from "../engine/ops/row.ts";
import { softmaxLines } from "../engine/ops/softmax.ts";
import { adapterSuite, device } from "../gpu.ts";
import { assert } from "../harness.ts";
import { close, runKernel, sample } from "./lab.ts";

/** The variants that adapters with subgroups of this size, of unknown size and without any are offered. */
function everywhere<S extends Spec>(candidates: (traits: AdapterTraits) => readonly S[]): readonly S[] {
  const { hasSubgroups, subgroupSize } = device().info;
  const traits = [
    { hasSubgroups, subgroupSize, isSoftware: false },
    { hasSubgroups, subgroupSize: 0, isSoftware: false },
    { hasSubgroups: false, subgroupSize: 0, isSoftware: false },
  ];
  return [...new Map(traits.flatMap(candidates).map((spec) => [specText(spec), spec])).values()];
}

const asRef = (shape: readonly number[], data: ArrayLike<number>): Ref => ref(shape, (i) => data[i] as number);

/** f(x + h d) - f(x - h d) over 2 h, against the sum of gradient times d. */
function along(
  gradient: Float32Array,
  x: Float32Array,
  of: (x: Ref) => number,
  shape: readonly number[],
  title: string,
): void {
  const d = sample(x.length, 99);
  const shifted = (h: number) => of(ref(shape, (i) => (x[i] as number) + h * (d[i] as number)));
  const want = (shifted(1e-5) - shifted(-1e-5)) / 2e-5;
  const got = gradient.reduce((sum, g, i) => sum + g * (d[i] as number), 0);
  assert.ok(Math.abs(got - want) <= 1e-3 + 1e-4 * Math.abs(want), `${title}: ${got}, central difference ${want}`);
}

const dot = (a: ArrayLike<number>, b: ArrayLike<number>): number => {
  let sum = 0;
  for (let i = 0; i < a.length; i++) sum += (a[i] as number) * (b[i] as number);
  return sum;
};

const test = adapterSuite("row kernel variants", { timeout: 300_000 });

for (const len of [12, 257]) {
  test(`softmax over ${len}`, async () => {
    const outer = 67;
    const [x, g] = [sample(outer * len, 1), sample(outer * len, 2)];
    for (const spec of everywhere((t) => sm.softmaxCandidates({ outer, len, inner: 1, log: false, dtype: "f32" }, t))) {
      const dims = { outer, len, inner: 1 };
      const want = softmaxLines(asRef([outer, len], x), [outer, len, 1], false);
      const { y } = await runKernel(sm.softmaxForward, spec, dims, { x, y: x.length });
      close(y?.f32 ?? [], want, { rtol: 1e-4, atol: 1e-6, title: specText(spec) });
      const { dx } = await runKernel(sm.softmaxBackward, spec, dims, { g, y: y?.f32 ?? 0, dx: x.length });
      const value = (at: Ref) => dot(softmaxLines(at, [outer, len, 1], false), g);
      along(dx?.f32 ?? new Float32Array(), x, value, [outer, len], specText(spec));
    }
  });
}

test("cross-entropy of stacked exits", async () => {
  const [samples, exits, len] = [23, 3, 40];
  const rows = samples * exits;
  const [z, weight] = [sample(rows * len, 3), sample(rows, 4)];
  const labels = Int32Array.from({ length: samples }, (_, i) => (i * 7) % len);
  const structure = { target: "labels", smooth: true, weighted: true } as const;
  for (const spec of everywhere((t) => ce.crossEntropyCandidates({ rows, len, dtype: "f32" }, structure, t))) {
    const dims = { rows, len, exits, smoothing: 0.1, scale: 1 };
    const given = { z, labels, weight };
    const of = (at: Ref) => crossEntropyOf(at, asRef([samples], labels), 0.1, asRef([samples, exits], weight));
    const shape = [samples, exits, len];
    const { loss, saved } = await runKernel(ce.crossEntropyForward, spec, dims, {
      ...given,
      loss: rows,
      saved: 3 * rows,
    });
    close(loss?.f32 ?? [], of(asRef(shape, z)).data, { rtol: 1e-4, atol: 1e-5, title: specText(spec) });
    const inputs = { ...given, g: Float32Array.of(1), saved: saved?.f32 ?? 0, dz: z.length };
    const { dz } = await runKernel(ce.crossEntropyBackward, { ...spec, upstream: "scalar" }, dims, inputs);
    along(dz?.f32 ?? new Float32Array(), z, (at) => of(at).data.reduce((a, b) => a + b, 0), shape, specText(spec));
  }
});

/** Rows of `len`, each normalised by itself. */
function rowNorm(x: Ref, len: number, weight: Float32Array, bias: Float32Array): Float64Array {
  const y = new Float64Array(x.data.length);
  for (let at = 0; at < y.length; at += len) {
    const line = x.data.subarray(at, at + len);
    const mean = line.reduce((a, b) => a + b, 0) / len;
    const variance = line.reduce((a, b) => a + (b - mean) ** 2, 0) / len;
    for (let j = 0; j < len; j++) {
      y[at + j] =
        (((line[j] as number) - mean) / Math.sqrt(variance + 1e-5)) * (weight[j] as number) + (bias[j] as number);
    }
  }
  return y;
}

for (const len of [24, 257]) {
  test(`layer norm over ${len}`, async () => {
    const rows = 37;
    const [x, g, weight, bias] = [sample(rows * len, 5), sample(rows * len, 6), sample(len, 7), sample(len, 8)];
    const specs = everywhere((t) => ln.layerNormCandidates({ rows, len, dtype: "f32" }, "both", t));
    for (const spec of [...specs, { ...(specs[0] as ln.LayerNormSpec), span: 4 }]) {
      const title = specText(spec);
      const forward = { x, weight, bias, y: x.length, stats: 2 * rows };
      const { y, stats } = await runKernel(ln.layerNormForward, spec, { rows, len, eps: 1e-5 }, forward);
      close(y?.f32 ?? [], rowNorm(asRef([rows, len], x), len, weight, bias), { rtol: 1e-4, atol: 1e-5, title });
      const isPartial = ln.layerNormHasPartials(spec);
      const parts = isPartial ? ln.layerNormTeams(rows, spec) : 5;
      const saved = { g, x, stats: stats?.f32 ?? 0 };
      const backward = await runKernel(
        ln.layerNormBackward,
        spec,
        { rows, len },
        { ...saved, weight, dx: x.length, partials: parts * 2 * len },
      );
      const value = (at: Ref) => dot(rowNorm(at, len, weight, bias), g);
      along(backward["dx"]?.f32 ?? new Float32Array(), x, value, [rows, len], title);
      const partials = isPartial
        ? backward["partials"]
        : (
            await runKernel(
              ln.layerNormParameterSums,
              spec,
              { rows, len, parts, chunk: 8 },
              { ...saved, partials: parts * 2 * len },
            )
          )["partials"];
      const sums = await runKernel(
        columnSums,
        { width: spec.width, merge: spec.slots > 0 },
        { parts, len },
        { partials: partials?.f32 ?? 0, first: len, second: len },
      );
      const db = Float64Array.from({ length: len }, (_, j) =>
        g.reduce((sum, v, i) => (i % len === j ? sum + v : sum), 0),
      );
      close(sums["second"]?.f32 ?? [], db, { rtol: 1e-4, atol: 1e-4, title: `${title} dbias` });
      const byWeight = (w: Ref) => dot(rowNorm(asRef([rows, len], x), len, Float32Array.from(w.data), bias), g);
      const h = sample(len, 99);
      const moved = (s: number) => byWeight(ref([len], (i) => (weight[i] as number) + s * (h[i] as number)));
      const slope = (moved(0.5) - moved(-0.5)) / 1;
      assert.ok(Math.abs(dot(sums["first"]?.f32 ?? [], h) - slope) < 2e-3, `${title} dweight`);
    }
  });
}

test("batch norm in every workgroup shape", async () => {
  const [rows, channels] = [203, 20];
  const [x, weight, bias] = [sample(rows * channels, 9), sample(channels, 10), sample(channels, 11)];
  const of = (at: Ref): Float64Array => {
    const turned = ref([channels, rows], (i) => at.data[(i % rows) * channels + Math.floor(i / rows)] as number);
    const plain = rowNorm(turned, rows, new Float32Array(rows).fill(1), new Float32Array(rows));
    return Float64Array.from(at.data, (_, i) => {
      const [row, c] = [Math.floor(i / channels), i % channels];
      return (plain[c * rows + row] as number) * (weight[c] as number) + (bias[c] as number);
    });
  };
  const fused = { activation: "none", residual: false } as const;
  const g = sample(x.length, 20);
  for (const shape of everywhere((t) => bn.batchNormCandidates({ channels, dtype: "f32" }, t))) {
    const title = specText(shape);
    const dims = { rows, channels, ...bn.batchNormParts({ rows, channels }, shape), eps: 1e-5, momentum: 0.1 };
    const size = bn.batchNormMomentRows(dims.parts, shape) * channels;
    const { moments } = await runKernel(bn.batchNormStatistics, shape, dims, { x, moments: size });
    const running = { running_mean: new Float32Array(channels), running_var: new Float32Array(channels) };
    const forward = { x, weight, bias, ...running, moments: moments?.f32 ?? 0, y: x.length };
    const { y } = await runKernel(bn.batchNormApply, { ...shape, ...fused }, dims, forward);
    close(y?.f32 ?? [], of(asRef([rows, channels], x)), { rtol: 1e-4, atol: 2e-5, title });
    const spec = { ...shape, ...fused, training: true };
    const sums = { g, x, moments: moments?.f32 ?? 0, sums_out: batchNormSumRows(dims.parts, shape) * channels };
    const { sums_out } = await runKernel(batchNormBackwardSums, spec, dims, sums);
    const outputs = { dx: x.length, dweight: channels, dbias: channels };
    const backward = { g, x, sums_in: sums_out?.f32 ?? 0, weight, ...outputs };
    const { dx } = await runKernel(batchNormBackwardApply, spec, dims, backward);
    along(dx?.f32 ?? new Float32Array(), x, (at) => dot(of(at), g), [rows, channels], title);
  }
});

test("group norm in every team", async () => {
  const sizes = { samples: 3, positions: 15, channels: 24, groups: 3 };
  const { samples, positions, channels, groups } = sizes;
  const [x, g, weight, bias] = [
    sample(samples * positions * channels, 12),
    sample(samples * positions * channels, 13),
    sample(channels, 14),
    sample(channels, 15),
  ];
  const columns = channels / groups;
  const of = (at: Ref): Float64Array => {
    const len = positions * columns;
    const index = (i: number) => {
      const [unit, j] = [Math.floor(i / len), i % len];
      return (
        (Math.floor(unit / groups) * positions + Math.floor(j / columns)) * channels +
        (unit % groups) * columns +
        (j % columns)
      );
    };
    const grouped = ref([samples * groups, len], (i) => at.data[index(i)] as number);
    const y = new Float64Array(x.length);
    rowNorm(grouped, len, new Float32Array(len).fill(1), new Float32Array(len)).forEach((v, i) => {
      y[index(i)] = v * (weight[index(i) % channels] as number) + (bias[index(i) % channels] as number);
    });
    return y;
  };
  for (const spec of everywhere((t) => gn.groupNormCandidates({ ...sizes, dtype: "f32" }, t))) {
    const title = specText(spec);
    const forward = { x, weight, bias, y: x.length, stats: 2 * samples * groups };
    const { y, stats } = await runKernel(gn.groupNormForward, spec, { ...sizes, eps: 1e-5 }, forward);
    close(y?.f32 ?? [], of(asRef([x.length], x)), { rtol: 1e-4, atol: 2e-5, title });
    const saved = { g, x, stats: stats?.f32 ?? 0 };
    for (const chunk of [1, 2]) {
      const dims = { ...sizes, parts: Math.ceil(samples / chunk), chunk };
      const { sums } = await runKernel(gn.groupNormBackwardSums, spec, dims, {
        ...saved,
        sums: 2 * dims.parts * channels,
      });
      const own = chunk > 1;
      const { dx } = await runKernel(gn.groupNormBackward, { ...spec, own }, sizes, {
        ...saved,
        weight,
        ...(!own && { sums: sums?.f32 ?? 0 }),
        dx: x.length,
      });
      along(dx?.f32 ?? new Float32Array(), x, (at) => dot(of(at), g), [x.length], `${title} by ${chunk}`);
    }
  }
});

for (const [dim, causal] of [
  [8, false],
  [12, true],
  [5, false],
] as const) {
  test(`attention of heads of ${dim}${causal ? ", causal" : ""}`, async () => {
    const [units, queries, keys] = [3, 19, 21];
    const dims = attentionDims({ batch: units, heads: 1, queries, keys, dim, scale: 0.4 });
    const shapes = { q: [units, queries, dim], k: [units, keys, dim] };
    const [q, k, v] = [
      sample(units * queries * dim, 16),
      sample(units * keys * dim, 17),
      sample(units * keys * dim, 18),
    ];
    const g = sample(q.length, 19);
    const of = (at: Ref, which: "q" | "k" | "v") => {
      const [a, b, c] = [asRef(shapes.q, q), asRef(shapes.k, k), asRef(shapes.k, v)];
      return attentionOf(which === "q" ? at : a, which === "k" ? at : b, which === "v" ? at : c, causal, 0.4).data;
    };
    for (const spec of everywhere((t) =>
      attentionCandidates({ dim, dtype: "f32", causal, isAligned: dim % 4 === 0, pass: "backward" }, t),
    )) {
      const title = specText(spec);
      const { o, lse } = await runKernel(attentionForward, spec, dims, { q, k, v, o: q.length, lse: units * queries });
      close(o?.f32 ?? [], of(asRef(shapes.q, q), "q"), { rtol: 1e-4, atol: 1e-5, title });
      const saved = { q, k, v, g, lse: lse?.f32 ?? 0 };
      const { dq, delta } = await runKernel(attentionBackwardQuery, spec, dims, {
        ...saved,
        o: o?.f32 ?? 0,
        dq: q.length,
        delta: units * queries,
      });
      const outputs = { delta: delta?.f32 ?? 0, dk: k.length, dv: v.length };
      const { dk, dv } = await runKernel(attentionBackwardKey, { ...spec, packed: false }, dims, {
        ...saved,
        ...outputs,
      });
      along(dq?.f32 ?? new Float32Array(), q, (at) => dot(of(at, "q"), g), shapes.q, `${title} dq`);
      along(dk?.f32 ?? new Float32Array(), k, (at) => dot(of(at, "k"), g), shapes.k, `${title} dk`);
      along(dv?.f32 ?? new Float32Array(), v, (at) => dot(of(at, "v"), g), shapes.k, `${title} dv`);
    }
  });
}

test("tiles of attention fit the memory that every device has, however deep a head is", () => {
  for (const dim of [64, 256, 480, 512, 1024])
    for (const pass of ["forward", "backward"] as const)
      for (const spec of everywhere((t) =>
        attentionCandidates({ dim, dtype: "f32", causal: false, isAligned: true, pass }, t),
      ))
        for (const kernel of [attentionForward, attentionBackwardQuery, attentionBackwardKey]) {
          const text = kernel.source({ ...spec, packed: false } as never);
          const bytes = [...text.matchAll(/var<workgroup> \w+: array<(vec4f|f32), (\d+)>/g)].reduce(
            (sum, [, type, count]) => sum + Number(count) * (type === "f32" ? 4 : 16),
            0,
          );
          assert.ok(bytes <= 16_384, `${kernel.name}, ${specText(spec)}: ${bytes} bytes`);
        }
});
