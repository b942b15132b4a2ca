// Proper scores of every exit, from outcomes.

import { checkKind } from "../errors.ts";
import { addTo } from "../numeric/arrays.ts";
import type { Outcomes } from "../table/outcomes.ts";

/** Mean over samples of an `[N, K]` array, per exit. */
export function meanPerExit(values: ArrayLike<number>, exits: number): Float64Array {
  checkKind("meanPerExit", "list", values, "values");
  const means = new Float64Array(exits);
  for (let i = 0; i < values.length; i++) addTo(means, i % exits, values[i]!);
  return means.map((sum) => (sum * exits) / values.length);
}

/** Mean negative log-likelihood per exit. */
export function nll(all: Outcomes): Float64Array {
  checkKind("nll", "outcomes", all);
  return meanPerExit(all.nll, all.exits);
}

/** Mean Brier score (sum over classes) per exit. */
export function brier(all: Outcomes): Float64Array {
  checkKind("brier", "outcomes", all);
  return meanPerExit(all.brier, all.exits);
}

/** Accuracy per exit. */
export function accuracy(all: { readonly errors: Uint8Array; readonly exits: number }): Float64Array {
  checkKind("accuracy", "answered", all, "outcomes");
  return meanPerExit(all.errors, all.exits).map((error) => 1 - error);
}
