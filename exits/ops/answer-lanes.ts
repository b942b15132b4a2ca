// exitAnswer (answer.ts) for CPU adapters, where threads that wait for each other cost more than what an exit computes.
// A subgroup takes rows one after the other, its lanes side by side along channels, then along positions, and hands
// each lane the logits of one row; then every lane decides its own. No workgroup memory, no barrier. Sums are f32.

import {
  type AdapterTraits,
  ceilDiv,
  defineKernel,
  entry,
  isGrouped,
  LINEAR_GROUP,
  linearGrid,
  unroll,
} from "../../kernels/index.ts";
import { ANSWER_UNIFORMS, type AnswerSpec, answerBindings, GAINS, powerFor } from "./answer-spec.ts";
import { DECISION_FUNCTIONS, decisionText } from "./decide.ts";

/** Structure of an answer by lanes. */
export type LanesSpec = AnswerSpec & {
  /** Of a subgroup. */
  readonly lanes: number;
  /** Lanes side by side along channels, a power of two; the others go on along positions. */
  readonly across: number;
  /** Quads of channels that a lane owns, `across` apart. */
  readonly quads: number;
  /** Rows of a subgroup, at most its lanes. */
  readonly rows: number;
};

/** Most quads a lane may own: their loops stand unrolled. */
const MOST_QUADS = 8;

/** How lanes share the rows; undefined where the adapter, or an odd number of channels, is not for them. */
export function lanesFor(
  adapter: AdapterTraits,
  { n, channels, classes }: { readonly n: number; readonly channels: number; readonly classes: number },
): Pick<LanesSpec, "lanes" | "across" | "quads" | "rows" | "classRoom"> | undefined {
  if (!adapter.isSoftware || !isGrouped(adapter) || channels % 4 > 0) return undefined;
  const lanes = adapter.subgroupSize;
  const across = Math.min(lanes, powerFor(channels / 4));
  const quads = ceilDiv(channels / 4, across);
  // Few rows are spread over the adapter's threads.
  const rows = n >= 2 * lanes ? lanes : 1;
  return quads <= MOST_QUADS ? { lanes, across, quads, rows, classRoom: powerFor(classes) } : undefined;
}

/** `v<j>`: this lane's quads of the vector of row r, equal in all lanes that own the same. */
function vectorText({ lanes, across, quads }: LanesSpec): string {
  const parts = lanes / across;
  const steps = Array.from({ length: Math.log2(parts) }, (_, i) => across * 2 ** i);
  return unroll(
    quads,
    (j) => `
    var v${j} = vec4f();
    if (q + ${j * across}u < items) {
      for (var p = lane / ${across}u; p < u.used; p += ${parts}u) { v${j} += vec4f(x[(r * u.positions + p) * items + q + ${j * across}u]); }
    }
    ${steps.map((step) => `v${j} += subgroupShuffleXor(v${j}, ${step}u);`).join(" ")}
    v${j} /= f32(u.used);`,
  );
}

const ownSum = (quads: number, value: (j: number) => string): string =>
  Array.from({ length: quads }, (_, j) => `dot(${value(j)}, vec4f(1.0))`).join(" + ");

/** Lanes that own the same quads count once, and quads behind the last channel are 0. */
const normText = ({ across, quads }: LanesSpec): string => `
    let mean = subgroupAdd(select(0.0, ${ownSum(quads, (j) => `v${j}`)}, lane < ${across}u)) / f32(u.channels);
    ${unroll(quads, (j) => `let d${j} = select(vec4f(), v${j} - mean, q + ${j * across}u < items);`)}
    let rstd = inverseSqrt(subgroupAdd(select(0.0, ${ownSum(quads, (j) => `d${j} * d${j}`)}, lane < ${across}u)) / f32(u.channels) + u.eps);
    let gains = ${GAINS};
    ${unroll(quads, (j) => `v${j} = d${j} * rstd * quad(gains, 1u, q + ${j * across}u) + quad(gains + u.channels, 1u, q + ${j * across}u);`)}`;

const logitsText = ({ across, quads }: LanesSpec): string => `
    for (var k = 0u; k < u.classes; k++) {
      var own = 0.0;
      ${unroll(quads, (j) => `if (lane < ${across}u && q + ${j * across}u < items) { own += dot(v${j}, quad(k, u.classes, q + ${j * across}u)); }`)}
      let z = subgroupAdd(own) + tail[u.channels * u.classes + k];
      if (lane == i) { logits[k] = z; }
    }`;

export const answerLanes = defineKernel({
  name: "exitAnswerLanes",
  uniforms: ANSWER_UNIFORMS,
  bindings: (spec: LanesSpec) => answerBindings(spec),
  // Each subgroup leaves by itself; what it counts by depends on uniforms alone.
  source: (spec) => `@diagnostic(off, subgroup_uniformity)
${DECISION_FUNCTIONS}
fn quad(first: u32, step: u32, q: u32) -> vec4f {
  let at = first + 4u * q * step;
  return vec4f(tail[at], tail[at + step], tail[at + 2u * step], tail[at + 3u * step]);
}
${entry(spec.lanes, ", @builtin(subgroup_invocation_id) lane: u32")} {
  let first = ${LINEAR_GROUP} * ${spec.rows}u;
  let end = ${spec.live ? "min(u.n, live[0])" : "u.n"};
  let items = u.channels / 4u;
  let q = lane % ${spec.across}u;
  var logits = array<f32, ${spec.classRoom}>();
  for (var i = 0u; i < ${spec.rows}u; i++) {
    let r = first + i;
    if (r >= end) { break; }
    ${vectorText(spec)}
    ${spec.normed ? normText(spec) : ""}
    ${logitsText(spec)}
  }
  let r = first + lane;
  if (lane >= ${spec.rows}u || r >= u.n) { return; }
  ${spec.live ? "if (r >= end) { stays[r] = 0u; return; }" : ""}
  ${spec.masked ? "if (stays[r] == 0u) { return; }" : ""}
  ${decisionText(spec, (c) => `logits[${c}]`, "u.threshold")}
}`,
  grid: ({ n }, { rows }) => linearGrid(ceilDiv(n, rows)),
});
