// Whose error rate a rule promises, and the counts of those groups.

import { zip } from "../../base/index.ts";
import { checkKind } from "../errors.ts";
import { Tally } from "../numeric/tally.ts";
import type { Cascade } from "../table/scores.ts";
import type { PathControl } from "./path.ts";
import type { PromisedGroup } from "./result.ts";

/**
 * Whose error rate is promised: that of each exit, of all early leavers together, of each label's early leavers, or of
 * each predicted class at each exit (thresholds `[K-1, C]`).
 */
export type Control = PathControl | "predictedClass";

/** The groups that a promise is about, as far as samples leave in them, in order of exit, label or class. */
export function promisedGroups(scored: Cascade, taken: Int32Array, control: Control): readonly PromisedGroup[] {
  checkKind("promisedGroups", "cascade", scored);
  checkKind("promisedGroups", "list", taken, "exits");
  const { exits, classes, labels, predictions, errors } = scored;
  const keyOf = {
    exit: (_: number, j: number) => j,
    early: () => 0,
    label: (i: number) => labels[i]!,
    predictedClass: (i: number, j: number) => j * classes + predictions[i * exits + j]!,
  }[control];
  const describe = {
    exit: (key: number) => ({ name: `exit ${key + 1}`, exit: key }),
    early: () => ({ name: "early exits" }),
    label: (key: number) => ({ name: `label ${key}` }),
    predictedClass: (key: number) => {
      const exit = Math.floor(key / classes);
      return { name: `exit ${exit + 1}, class ${key % classes}`, exit };
    },
  }[control];
  const groups = new Tally(exits * classes);
  taken.forEach((j, i) => {
    if (j < exits - 1) groups.add(keyOf(i, j), errors[i * exits + j]!);
  });
  return zip(groups.counts, groups.sums).flatMap(([accepted, wrong], key) =>
    accepted === 0 ? [] : [{ ...describe(key), accepted, errors: wrong }],
  );
}
