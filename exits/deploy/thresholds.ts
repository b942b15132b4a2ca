// A policy's thresholds as the device compares them: levels instead of confidences (exits/ops/decide.ts), in 32 bits,
// and rounded so that nobody leaves here who would stay on a table of the same logits.

import { logEntropyOf, logOddsOf, logRestOf, type OwnScore } from "../../calibration/index.ts";
import { ArgumentError } from "../../engine/functions.ts";
import { decideError } from "../ops/decide.ts";

/** Stands for infinity, which a shader need not know. */
const LARGEST = 3.4e38;

/** A level that nobody reaches, though the exit is open: what is computed there can then be timed. */
export const UNREACHED = 3.3e38;

/** Whether nobody reaches a level. */
export const isClosed = (level: number): boolean => level >= LARGEST;

/** Whether everybody reaches a level: what lies behind such an exit is never computed. */
export const isOpenToAll = (level: number): boolean => level <= -LARGEST;

/**
 * How far the logits of a network that was prepared for inference may be from those of its `forward`, on which policies
 * are calibrated: this share of 1 + |z|, z the largest. Folding norms and summing in another order rounds otherwise;
 * storing in f16 rounds every activation. Tests hold half as much against every backbone and head: a level is of
 * two logits.
 */
export const SLACK = { f32: 2 ** -17, f16: 2 ** -6 } as const;

/** What `levels` must know of an exit. */
export interface LevelOptions {
  readonly score: OwnScore;
  readonly classes: number;
  readonly temperature: number;
  /** Share of 1 + |z| by which logits may be off; default 0. The part that grows with z is the decision's to add. */
  readonly slack?: number;
}

/**
 * The level from which on a sample leaves, for a threshold of its confidence. The device's levels are off by rounding:
 * the threshold is raised by the most that they can be, so that a sample whose confidence is that close to it stays.
 */
export function levelFrom(threshold: number, options: LevelOptions): number {
  const { score, classes, temperature, slack = 0 } = options;
  const level = levelOf(threshold, options);
  // What heads say of themselves is not divided by the temperature.
  const scale = score === "confidence" ? 1 : temperature;
  const raised = level + decideError(score, level, classes, temperature) + slack / scale;
  return Number.isFinite(raised)
    ? Math.max(-LARGEST, Math.min(LARGEST, roundedUp(raised)))
    : Math.sign(level) * LARGEST;
}

/** Exactly: how the confidences of calibration/ and the levels of exits/ops/decide.ts go together. */
function levelOf(threshold: number, { score, classes }: LevelOptions): number {
  switch (score) {
    case "maxProb":
    case "confidence":
    case "margin": {
      if (threshold <= 0) return Number.NEGATIVE_INFINITY;
      return score === "margin" ? -logRestOf(threshold) : logOddsOf(threshold);
    }
    case "entropy":
      return -logEntropyOf(-threshold);
    case "normalisedEntropy":
      return -logEntropyOf(-threshold * Math.log(Math.max(2, classes)));
    default:
      return threshold;
  }
}

/** The least 32-bit float that is not below x. */
function roundedUp(x: number): number {
  const value = new Float32Array([x]);
  if (value[0]! >= x) return value[0]!;
  const bits = new Int32Array(value.buffer);
  bits[0] = bits[0]! + (value[0]! < 0 ? -1 : 1);
  return Object.is(value[0], Number.NaN) ? 2 ** -149 : value[0]!;
}

/**
 * Thresholds of each early exit, one or C of them. @throws ArgumentError for a wrong number of them, and for what is no
 * number.
 */
export function thresholdsPerExit(
  thresholds: ArrayLike<number>,
  { exits, classes }: { readonly exits: number; readonly classes: number },
): number[][] {
  const all = Array.from(thresholds);
  const wrong = all.findIndex((value) => typeof value !== "number" || Number.isNaN(value));
  if (wrong >= 0) throw new ArgumentError(`deploy: thresholds must be numbers; got ${show(all[wrong])} at ${wrong}.`);
  const early = exits - 1;
  if (all.length === 1) return Array.from({ length: early }, () => all);
  if (all.length !== early && all.length !== early * classes) {
    throw new ArgumentError(
      `deploy: there must be 1, ${early} or ${early * classes} thresholds for ${early} early exits; got ${all.length}.`,
    );
  }
  const each = all.length / early;
  return Array.from({ length: early }, (_, j) => all.slice(j * each, (j + 1) * each));
}

const show = (value: unknown): string => (typeof value === "string" ? JSON.stringify(value) : String(value));
