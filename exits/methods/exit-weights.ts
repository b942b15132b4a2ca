// Exit weights: how much each exit counts in the loss, the same for all, given, rising with depth, or growing over the
// epochs.

import { isRecord, type Option } from "../../base/index.ts";
import { ArgumentError } from "../../engine/functions.ts";
import { checkEpoch, checkPerExit } from "./losses.ts";
import type { Epoch } from "./method.ts";

/** Weights that rise evenly from the first exit to the last. */
export interface LinearWeights {
  readonly first: number;
  readonly last: number;
}

/**
 * Shallow-Deep Networks (Kaya et al., ICML 2019): early exits grow from 0.01 to these over the epochs; the last has 1.
 */
export interface SdnWeights {
  /** One for each exit but the last. */
  readonly sdn: readonly number[];
}

/** One number for all exits, one for each, or a rule. */
export type ExitWeights = number | readonly number[] | LinearWeights | SdnWeights;

const isWeight = (value: unknown): boolean => typeof value === "number" && value >= 0 && Number.isFinite(value);
const areWeights = (value: unknown): boolean => Array.isArray(value) && value.every(isWeight);

function isExitWeights(value: unknown): boolean {
  if (!isRecord(value)) return isWeight(value) || areWeights(value);
  const { first, last, sdn, ...more } = value;
  if (Object.keys(more).length > 0) return false;
  if (sdn !== undefined) return first === undefined && last === undefined && areWeights(sdn);
  return isWeight(first) && isWeight(last);
}

/** `0.5`, `1,2,3`, `linear:0.2,1`, `sdn:0.4,0.015` */
function parseExitWeights(text: string): unknown {
  const [, rule, list = ""] = /^(?:(linear|sdn):)?(.*)$/.exec(text) ?? [];
  const items = list.split(",");
  const numbers = items.map(Number);
  if (items.some((item) => item.trim() === "") || !areWeights(numbers)) return text;
  if (rule === "sdn") return { sdn: numbers };
  if (rule === "linear") return numbers.length === 2 ? { first: numbers[0], last: numbers[1] } : text;
  return numbers.length === 1 ? numbers[0] : numbers;
}

/** The option of that name. */
export const exitWeightsOption = <T extends ExitWeights>(value: T, basis?: string): Option<ExitWeights> => ({
  kind: "parsed",
  about: "how much each exit counts",
  default: value,
  must: "one number for all exits, one for each (1,2,3), linear:FIRST,LAST or sdn:FIRST,SECOND,... without the last, all of at least 0",
  fits: isExitWeights,
  parse: parseExitWeights,
  ...(basis !== undefined && { basis }),
});

/** The weights of `exits` exits in an epoch. @throws ArgumentError for a wrong number of them, and where all are 0. */
export function exitWeightsAt(op: string, weights: ExitWeights, exits: number, at: Epoch): number[] {
  checkEpoch(op, at);
  const found = evaluated(op, weights, exits, at);
  if (found.some((weight) => weight > 0)) return found;
  throw new ArgumentError(`${op}: some exit weight must be above 0; got [${found.join(", ")}].`);
}

function evaluated(op: string, weights: ExitWeights, exits: number, at: Epoch): number[] {
  if (typeof weights === "number") return new Array<number>(exits).fill(weights);
  if ("sdn" in weights) {
    checkPerExit(op, "sdn and 1 for the last exit", [...weights.sdn, 1], exits);
    return [...weights.sdn.map((most) => Math.min(most, 0.01 + (at.epoch * most) / at.epochs)), 1];
  }
  if ("first" in weights) {
    const { first, last } = weights;
    return Array.from({ length: exits }, (_, j) => (exits === 1 ? last : first + ((last - first) * j) / (exits - 1)));
  }
  checkPerExit(op, "exitWeights", weights, exits);
  return [...weights];
}

/** What becomes of exit weights. */
interface Weighing {
  readonly exitWeights: ExitWeights;
  readonly normalise: boolean;
  /** What they add up to. */
  readonly sum?: number | undefined;
}

/** Those weights; where `normalise` says so, over their sum, and where `sum` is given, adding up to it. */
export function weightsOf(
  op: string,
  { exitWeights, normalise, sum = normalise ? 1 : undefined }: Weighing,
  exits: number,
  at: Epoch,
): readonly number[] {
  const weights = exitWeightsAt(op, exitWeights, exits, at);
  const total = weights.reduce((all, weight) => all + weight, 0);
  return sum === undefined ? weights : weights.map((weight) => (sum * weight) / total);
}
