// An exit's answer from features to decision in one dispatch: x [n, P, C] to a vector of each row, normed or not, to
// logits, to what exitDecide does with them (decide.ts).
//   v = mean over P of x[r, p], or x[r, 0];  v = (v - mean v) / sqrt(var v + eps) g + h, with `normed`;  z = v W + b
// A workgroup owns a row. Threads share out the positions, then the channels of each class, through workgroup memory;
// one decides. W [C, K], b [K] and, normed, g [C] and h [C] lie side by side in `tail`. Sums are f32, of few parts
// each. With `live`, only the first live[0] rows exist, and the others do not stay. With `masked`, rows whose `stays`
// is 0 have left before. A single threshold is a uniform: adapters need not bind more than eight buffers at once.

import { exactly, type Kinds, lastOf } from "../../base/index.ts";
import {
  ArgumentError,
  checkTensors,
  concat,
  type Device,
  defineOp,
  describe,
  positional,
  readOptions,
  reshape,
  ShapeError,
  type Tensor,
  zeros,
} from "../../engine/functions.ts";
import { defineKernel, entry, GROUP, LINEAR_GROUP, linearGrid } from "../../kernels/index.ts";
import type { Tail } from "../../nn/index.ts";
import { ANSWER_UNIFORMS, type AnswerSpec, answerBindings, GAINS, powerFor } from "./answer-spec.ts";
import { DECISION_FUNCTIONS, type DecideOptions, decisionText, type ExitResults } from "./decide.ts";

/** Structure of an answer by a workgroup a row. */
type GroupSpec = AnswerSpec & {
  /** Channels that workgroup memory has room for, a power of two. */
  readonly room: number;
};

/** Most channels, and most weights: beyond them a product of its own is faster than one workgroup a row. */
const MOST_CHANNELS = 2048;
const MOST_WEIGHTS = 1 << 16;
const MOST_CLASSES = 1024;

/** Whether a tail is small enough for `exitAnswer`. */
export const fitsAnswer = ({ linear }: Tail): boolean => {
  const [channels, classes] = exactly(linear.weight.shape, 2);
  return channels <= MOST_CHANNELS && classes <= MOST_CLASSES && channels * classes <= MOST_WEIGHTS;
};

/**
 * `pooled[c]`: the vector of row r. `own` is a thread's place among those side by side along channels, `part` its share
 * of the positions.
 */
const vectorText = ({ width }: GroupSpec): string => {
  const value = width === 4 ? "vec4f" : "f32";
  const store = width === 4 ? [0, 1, 2, 3].map((e) => `pooled[4u * q + ${e}u] = whole[${e}];`) : ["pooled[q] = whole;"];
  return `
  let items = u.channels / ${width}u;
  let across = min(items, ${GROUP}u);
  let parts = ${GROUP}u / across;
  let part = li / across;
  for (var first = 0u; first < items; first += across) {
    let q = first + li % across;
    var sum = ${value}();
    if (part < parts && q < items) {
      for (var p = part; p < u.used; p += parts) { sum += ${value}(x[(r * u.positions + p) * items + q]); }
    }
    shares[li] = sum;
    workgroupBarrier();
    if (part == 0u && q < items) {
      for (var k = 1u; k < parts; k++) { sum += shares[k * across + li]; }
      let whole = sum / f32(u.used);
      ${store.join(" ")}
    }
    workgroupBarrier();
  }`;
};

const normText = `
  var total = 0.0;
  for (var c = li; c < u.channels; c += ${GROUP}u) { total += pooled[c]; }
  let mean = sum_over(total, li) / f32(u.channels);
  var squares = 0.0;
  for (var c = li; c < u.channels; c += ${GROUP}u) { let d = pooled[c] - mean; squares += d * d; }
  let rstd = inverseSqrt(sum_over(squares, li) / f32(u.channels) + u.eps);
  let gains = ${GAINS};
  for (var c = li; c < u.channels; c += ${GROUP}u) {
    pooled[c] = (pooled[c] - mean) * (rstd * tail[gains + c]) + tail[gains + u.channels + c];
  }
  workgroupBarrier();`;

const logitsText = `
  let beside = min(u.classes, ${GROUP}u);
  let splits = ${GROUP}u / beside;
  let split = li / beside;
  for (var first = 0u; first < u.classes; first += beside) {
    let k = first + li % beside;
    var sum = 0.0;
    if (split < splits && k < u.classes) {
      for (var c = split; c < u.channels; c += splits) { sum += pooled[c] * tail[c * u.classes + k]; }
    }
    sums[li] = sum;
    workgroupBarrier();
    if (split == 0u && k < u.classes) {
      for (var s = 1u; s < splits; s++) { sum += sums[s * beside + li]; }
      logits[k] = sum + tail[u.channels * u.classes + k];
    }
    workgroupBarrier();
  }`;

const SUM_OVER = `
fn sum_over(value: f32, li: u32) -> f32 {
  sums[li] = value;
  for (var step = ${GROUP / 2}u; step > 0u; step >>= 1u) {
    workgroupBarrier();
    if (li < step) { sums[li] += sums[li + step]; }
  }
  workgroupBarrier();
  let all = sums[0];
  workgroupBarrier();
  return all;
}`;

export const exitAnswerKernel = defineKernel({
  name: "exitAnswer",
  uniforms: ANSWER_UNIFORMS,
  bindings: (spec: GroupSpec) => answerBindings(spec),
  source: (spec) => `${DECISION_FUNCTIONS}
var<workgroup> shares: array<${spec.width === 4 ? "vec4f" : "f32"}, ${GROUP}>;
var<workgroup> pooled: array<f32, ${spec.room}>;
var<workgroup> sums: array<f32, ${GROUP}>;
var<workgroup> logits: array<f32, ${spec.classRoom}>;
${spec.normed ? SUM_OVER : ""}
${entry()} {
  let r = ${LINEAR_GROUP};
  if (r >= u.n) { return; }
  ${spec.live ? "if (r >= live[0]) { if (li == 0u) { stays[r] = 0u; } return; }" : ""}
  ${vectorText(spec)}
  ${
    spec.normed
      ? `{${normText}
  }`
      : ""
  }
  ${logitsText}
  if (li > 0u) { return; }
  ${spec.masked ? "if (stays[r] == 0u) { return; }" : ""}
  ${decisionText(spec, (c) => `logits[${c}]`, "u.threshold")}
}`,
  grid: ({ n }) => linearGrid(n),
});

/** What `exitAnswer` must be told of a tail. */
export interface AnswerTail {
  readonly vector: Tail["vector"];
  /** W, b and, normed, gain and offset, side by side: f32. */
  readonly parameters: Tensor;
  readonly classes: number;
  /** Of the norm, if there is one. */
  readonly eps?: number | undefined;
}

/** The parameters of a tail as `exitAnswer` takes them. */
export function answerTail({ vector, norm, linear }: Tail): AnswerTail {
  const { weight, bias } = linear;
  const classes = weight.shape[1]!;
  const parts = [
    weight,
    bias ?? zeros([classes], { device: weight.device }),
    ...(norm ? [norm.weight, norm.bias] : []),
  ];
  const parameters = concat(parts.map((part) => reshape(part, [-1])));
  return { vector, parameters, classes, eps: norm?.eps };
}

/** Options of `exitAnswer`. */
export interface AnswerOptions extends Omit<DecideOptions, "before"> {
  /** Rows whose `stays` is 0 on the way in have left before: they stay away, and write nothing. Default false. */
  readonly masked?: boolean;
}

/** What rows are decided by, and where answers go. */
export interface AnswerPlaces extends ExitResults {
  readonly ids: Tensor;
  /** A level, or f32 [C]: one for each predicted class. */
  readonly thresholds: number | Tensor;
  readonly stays: Tensor;
}

/** Buffers that `exitAnswer` and `exitDecide` bind at most; adapters need not have room for more than eight. */
const MOST_BUFFERS = 9;

/** Whether a device binds as many. */
export const bindsAll = ({ info }: Device): boolean => info.limits.maxStorageBuffersPerShaderStage >= MOST_BUFFERS;

const ANSWER: Kinds<AnswerOptions> = {
  exit: "number!",
  isLast: "boolean",
  score: "string",
  temperature: "number",
  slack: "number",
  rows: "any",
  masked: "boolean",
};

/** What `loadLanes` has loaded. */
let byLanes: typeof import("./answer-lanes.ts") | undefined;

/** Loads the kernel that answers fastest on CPU adapters, where the device is of one. */
export async function loadLanes({ info }: Device): Promise<void> {
  if (info.isSoftware) byLanes ??= await import("./answer-lanes.ts");
}

const op = defineOp({
  name: "exitAnswer",
  operands: {
    x: "float N ... C",
    tail: "f32 W",
    ids: "i32 N",
    "thresholds?": "f32 T",
    stays: "u32 N",
    answers: "i32",
    exits: "i32",
    scores: "f32",
    "live?": "u32",
  },
  infer: (
    _,
    __: Required<Omit<AnswerOptions, "rows">> & Omit<AnswerTail, "parameters"> & { threshold: number },
  ) => ({}),
  run: ({ device, inputs, attrs, sizes, dispatch, choose }) => {
    const { exit, isLast, score, temperature, slack, masked, classes, vector, eps, threshold } = attrs;
    const { N: n, C: channels } = sizes;
    const { x } = inputs;
    const positions = n === 0 ? 1 : x.size / (n * channels);
    const spec = {
      ...{ score, isLast, byClass: inputs.thresholds !== undefined, live: inputs.live !== undefined, masked },
      dtype: x.dtype === "f16" ? "f16" : "f32",
      width: channels % 4 === 0 ? 4 : 1,
      normed: eps !== undefined,
    } satisfies Omit<AnswerSpec, "classRoom">;
    const used = vector === "first" ? 1 : positions;
    const decision = { n, classes, exit, sharpness: 1 / temperature, slack };
    const dims = { ...decision, threshold, channels, positions, used, eps: eps ?? 0 };
    const group: GroupSpec = { ...spec, room: roomFor(channels), classRoom: roomFor(classes) };
    const kernels = byLanes;
    const lanes = kernels?.lanesFor(device.info, { n, channels, classes });
    const chosen = choose(`exitAnswer:${sizeOf(n)}x${positions}x${channels}x${classes}`, [
      ...(lanes ? [{ ...spec, ...lanes }] : []),
      group,
    ]);
    if (kernels && "lanes" in chosen) dispatch(kernels.answerLanes, chosen, inputs, dims);
    else if ("room" in chosen) dispatch(exitAnswerKernel, chosen, inputs, dims);
  },
});

/** Batches of about that size are tuned alike. */
const sizeOf = (n: number): number => (n <= 1 ? n : powerFor(n));

const roomFor = (n: number): number => Math.max(64, powerFor(n));

/**
 * Decides the rows of features x [n, .., C] by a tail's logits: `stays` (u32 [n]) becomes 1 where a row stays
 * undecided, else 0, and who leaves writes answer, exit and confidence to the results at `ids` (i32 [n]), as with
 * `exitDecide`.
 */
export const exitAnswer = positional(
  "exitAnswer(x, tail, places, options)",
  (x: Tensor, tail: AnswerTail, places: AnswerPlaces, options: AnswerOptions): void => {
    const name = "exitAnswer";
    const {
      exit,
      isLast = false,
      score = "maxProb",
      temperature = 1,
      slack = 0,
      masked = false,
      rows,
    } = readOptions(name, options, ANSWER);
    const { parameters, classes, vector, eps } = tail;
    const { thresholds, ...others } = places;
    const byClass = typeof thresholds === "number" ? undefined : thresholds;
    checkTensors(name, { x, "tail.parameters": parameters, ...others, "thresholds?": byClass, "rows?": rows });
    const channels = lastOf(x.shape);
    const wanted = channels * classes + classes + (eps === undefined ? 0 : 2 * channels);
    if (x.rank < 2 || parameters.size !== wanted || wanted === 0)
      throw new ShapeError(
        `${name}: x must be [N, .., C] for a tail of ${wanted} values; got ${describe(x)} and ${describe(parameters)}.`,
      );
    if (byClass && byClass.size !== classes)
      throw new ShapeError(`${name}: thresholds must be a number or [${classes}]; got ${describe(byClass)}.`);
    if (rows && rows.size !== 1) throw new ShapeError(`${name}: rows must be u32[1]; got ${describe(rows)}.`);
    if (!(temperature > 0)) throw new ArgumentError(`${name}: temperature must be above 0; got ${temperature}.`);
    op(
      { x, tail: parameters, ...others, thresholds: byClass, live: rows },
      {
        ...{ exit, isLast, score, temperature, slack, masked, classes, vector, eps },
        threshold: typeof thresholds === "number" ? thresholds : 0,
      },
    );
  },
);
