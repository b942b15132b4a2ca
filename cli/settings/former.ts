// Names of settings in earlier versions, as those of this one: old files, folders and commands go on.

import { option, SortieError } from "../../base/index.ts";
import { isPlain, type Leaf, leafOf, type Place, type Plain } from "./settings.ts";

/** Told once, where an old name is used. */
export const FORMER =
  "note: --objective and objective.* are --method and method.* now, weights are exitWeights, and annealFrom and annealTo are one anneal; the old names will go.";

const SPECIAL = {
  method: option.text(undefined, "now method.name"),
  weights: option.list(undefined, "now method.exitWeights"),
  weighting: option.choice(["fixed", "linear", "sdn"], "now method.exitWeights", { default: undefined }),
  annealFrom: option.list(undefined, "now method.anneal"),
  annealTo: option.list(undefined, "now method.anneal"),
} as const;

/** Flags under the old names, which help does not show. */
export const formerLeaves = (leaves: readonly Leaf[]): readonly Leaf[] => [
  ...leaves.flatMap((leaf) =>
    /^method\.(?!name$|exitWeights$)/.test(leaf.path)
      ? [{ ...leaf, path: leaf.path.replace("method", "objective") }]
      : [],
  ),
  ...Object.entries(SPECIAL).map(([key, of]) => leafOf(`objective.${key}`, of)),
];

/** Whether settings use old names. */
export const isFormer = (settings: Plain): boolean => settings["objective"] !== undefined;

/** Settings in the words of this version. @throws Error for old settings that contradict each other. */
export function inWordsOfToday(place: Place, settings: Plain): Plain {
  const { objective, ...rest } = settings;
  const { where, name } = place;
  if (!isPlain(objective)) return settings;
  const { method, weights, weighting, annealFrom: from, annealTo: to, ...given } = objective;
  if ((from === undefined) !== (to === undefined) || (from !== undefined && given["anneal"] !== undefined))
    throw new SortieError(
      `${where}: ${name("objective.annealFrom")} and ${name("objective.annealTo")} must come together, and without anneal.`,
    );
  const today = {
    ...(method !== undefined && { name: method }),
    ...given,
    ...(from !== undefined && { anneal: { from, to } }),
    ...(weights !== undefined && { exitWeights: exitWeights(place, weights, weighting) }),
  };
  if (weights === undefined && weighting !== undefined && weighting !== "fixed")
    throw new SortieError(`${where}: ${name("objective.weights")} must be given for weighting ${weighting}; got none.`);
  return { ...rest, method: { ...today, ...(isPlain(rest["method"]) && rest["method"]) } };
}

function exitWeights({ where, name }: Place, weights: unknown, weighting: unknown): unknown {
  if (weighting === "sdn") return { sdn: weights };
  if (weighting !== "linear" || !Array.isArray(weights)) return weights;
  const [first, last, ...more] = weights as readonly unknown[];
  if (last !== undefined && more.length === 0) return { first, last };
  throw new SortieError(
    `${where}: ${name("objective.weights")} must be two numbers, of the first and the last exit, for linear weighting; got ${weights.join(",")}.`,
  );
}
