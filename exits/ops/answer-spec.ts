// What the kernels of an exit's answer (answer.ts, answer-lanes.ts) have in common: their structure and what they bind.

import { reads, updates } from "../../kernels/index.ts";
import { DECISION_RESULTS, DECISION_UNIFORMS, type DecisionSpec } from "./decide.ts";

/** Structure of an answer. */
export type AnswerSpec = DecisionSpec & {
  readonly dtype: "f32" | "f16";
  /** Channels per load. */
  readonly width: 1 | 4;
  readonly normed: boolean;
  readonly live: boolean;
  readonly masked: boolean;
  /** Classes that there is room for, a power of two. */
  readonly classRoom: number;
};

export const ANSWER_UNIFORMS = {
  ...DECISION_UNIFORMS,
  ...({ threshold: "f32", channels: "u32", positions: "u32", used: "u32", eps: "f32" } as const),
};

export const answerBindings = ({ live, dtype, width, byClass }: AnswerSpec) => ({
  x: reads(`array<${width === 4 ? `vec4<${dtype}>` : dtype}>`),
  tail: reads("array<f32>"),
  ids: reads("array<i32>"),
  thresholds: byClass ? reads("array<f32>") : undefined,
  live: live ? reads("array<u32>") : undefined,
  stays: updates("array<u32>"),
  ...DECISION_RESULTS,
});

/** Where gain and offset of a norm lie in `tail`, behind W [C, K] and b [K]. */
export const GAINS = "u.channels * u.classes + u.classes";

/** The least power of two that is no less than n; n above 0. */
export const powerFor = (n: number): number => 2 ** Math.ceil(Math.log2(n));
