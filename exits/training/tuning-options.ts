// Options of fine-tuning, as data that can stand in a configuration file.

import { isRecord, type Option, option } from "../../base/index.ts";

/** Factors of the learning rate by the beginnings of names. */
export type RateFactors = Readonly<Record<string, number>>;

const isFactors = (value: unknown): boolean =>
  isRecord(value) &&
  Object.values(value).every((factor) => typeof factor === "number" && factor > 0 && Number.isFinite(factor));

/** `backbone.=0.1,heads.=2` */
function parseFactors(text: string): unknown {
  const pairs = text.split(",").map((pair) => pair.trim().split("="));
  if (!pairs.every(({ length }) => length === 2)) return text;
  const factors = pairs.map(([beginning, factor = ""]) => [beginning, factor.trim() === "" ? NaN : Number(factor)]);
  return factors.some(([, factor]) => Number.isNaN(factor)) ? text : Object.fromEntries(factors);
}

const rateFactor: Option<RateFactors | undefined> = {
  kind: "parsed",
  about: "factors of the learning rate, by how names of parameters begin; the longest beginning counts",
  default: undefined,
  must: "numbers above 0 by beginnings of names, backbone.=0.1,heads.=2",
  fits: isFactors,
  parse: parseFactors,
};

/** Options of fine-tuning; a part of every recipe. */
export const FINE_TUNING = {
  freeze: option.words(undefined, "parameters that stay as they are, by how names begin", "a list, backbone.,heads.0."),
  rateFactor,
  moreEpochs: option.list(undefined, "further epochs, each time with a schedule of its own; a finished run goes on", {
    must: "a list of whole numbers above 0, 3 or 3,2",
    min: 1,
    whole: true,
  }),
} as const;

/**
 * Whether one list of further epochs is how the other begins: then a run of the one can go on as a run of the other.
 */
export const isBeginning = (one: readonly number[] = [], other: readonly number[] = []): boolean =>
  one.length <= other.length && one.every((epochs, i) => epochs === other[i]);
