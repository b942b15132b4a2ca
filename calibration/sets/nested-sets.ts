// Prediction sets along the exits that only shrink: a class, once excluded, stays out, and whichever exit answers, the
// label was excluded at or before it with probability at most alpha. Two ways: from predictive ratios under a correct
// model (Jazbec et al., UAI 2024), and conformal, which needs no model.

import { check, checkKind, checkLevel, checkNotEmpty, readOptions } from "../errors.ts";
import { type Guarantee, provenUnless } from "../rules/result.ts";
import { checkUnfitted } from "../table/fitted.ts";
import { checkDistinct } from "../table/same-samples.ts";
import { cascade } from "../table/scores.ts";
import { forEachChunk, type Table } from "../table/table.ts";
import { type CalibrateSetOptions, nonconformity, readCalibration, type SetRule, setRule } from "./conformal-sets.ts";

/** Membership per sample, exit and class, and set sizes. */
export interface NestedSets {
  /** `[N, K, C]`. */
  readonly sets: Uint8Array;
  /** `[N, K]`; may reach 0, which says that the model contradicts itself. */
  readonly size: Int32Array;
  readonly guarantee: Guarantee;
}

/**
 * From predictive ratios `[N, K, C]`: class c is in set j if the running product is <= 1/alpha at every exit up to j.
 * Anytime-valid by Ville's inequality if the ratios of the true class form a martingale; misspecified ratios void that.
 */
export function nestedSets(
  ratios: ArrayLike<number>,
  options: { readonly exits: number; readonly classes: number; readonly alpha: number },
): NestedSets {
  const { exits, classes, alpha } = readOptions("nestedSets", options, {
    exits: "number!",
    classes: "number!",
    alpha: "number!",
  });
  checkLevel("nestedSets", "alpha", alpha);
  const width = exits * classes;
  const isWhole = Number.isInteger(ratios.length / width);
  check(isWhole, "nestedSets", `ratios must hold ${exits} x ${classes} values a sample`, ratios.length);
  const products = new Float64Array(ratios.length);
  for (let at = 0; at < ratios.length; at++)
    products[at] = ratios[at]! * (at % width < classes ? 1 : products[at - classes]!);
  const guarantee: Guarantee = {
    kind: "marginal",
    promise: `The label is excluded at any exit with probability at most ${alpha}.`,
    assumptions: ["the predictive ratios of the true class form a martingale, that is, the model is correct"],
  };
  return { ...nest(products, exits, classes, 1 / alpha), guarantee };
}

/**
 * Conformal nested sets: a class scores as its worst exit so far, and the quantile is taken of the label's
 * score over all exits. Exact in finite samples for any network; read with `predictNestedSets`.
 */
export function calibrateNestedSets(table: Table, options: CalibrateSetOptions): SetRule {
  checkKind("calibrateNestedSets", "table", table);
  const { own: kept, sameSamples } = readCalibration("calibrateNestedSets", options);
  if (!sameSamples) {
    checkDistinct("calibrateNestedSets", cascade(table), "calibration");
    checkUnfitted("calibrateNestedSets", table);
  }
  const { exits, classes, labels } = table;
  const own = new Float64Array(table.samples).fill(Number.NEGATIVE_INFINITY);
  forEachChunk(table, (logits, first, count) => {
    const scores = nonconformity({ logits, classes }, kept);
    for (let row = 0; row < count * exits; row++) {
      const i = first + Math.floor(row / exits);
      own[i] = Math.max(own[i]!, scores[row * classes + labels[i]!]!);
    }
  });
  const rule = setRule(own, kept, "the sets of all exits contain the label");
  return { ...rule, exits, guarantee: provenUnless(sameSamples, rule.guarantee) };
}

/** The sets of every sample at every exit. */
export function predictNestedSets(table: Table, rule: SetRule): NestedSets {
  checkKind("predictNestedSets", "table", table);
  checkKind("predictNestedSets", "rule", rule);
  const { samples, exits, classes } = table;
  checkNotEmpty("predictNestedSets", "the table", samples);
  const calibrated = rule.exits ?? 1;
  const must = `the rule must be of as many exits as the table, ${exits} (calibrateNestedSets)`;
  check(calibrated === exits, "predictNestedSets", must, `a rule of ${calibrated}`);
  const sets = new Uint8Array(samples * exits * classes);
  const size = new Int32Array(samples * exits);
  forEachChunk(table, (logits, first) => {
    const found = nest(nonconformity({ logits, classes }, rule), exits, classes, rule.quantile);
    sets.set(found.sets, first * exits * classes);
    size.set(found.size, first * exits);
  });
  return { sets, size, guarantee: rule.guarantee };
}

/** A class belongs to set j if its value is at most `limit` at every exit up to j. */
function nest(values: Float64Array, exits: number, classes: number, limit: number): Pick<NestedSets, "sets" | "size"> {
  const sets = new Uint8Array(values.length);
  const size = new Int32Array(values.length / classes);
  for (let row = 0; row < size.length; row++) {
    let members = 0;
    for (let at = row * classes; at < (row + 1) * classes; at++) {
      if (!(values[at]! <= limit && (row % exits === 0 || sets[at - classes] === 1))) continue;
      sets[at] = 1;
      members++;
    }
    size[row] = members;
  }
  return { sets, size };
}
