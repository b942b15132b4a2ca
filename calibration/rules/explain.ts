// Results in plain English, two sentences: what is promised by which method, and under which assumption.

import { checkKind } from "../errors.ts";
import type { BudgetChoice } from "./budgets.ts";
import type { PublishedChoice } from "./published.ts";
import type { Calibration } from "./result.ts";

/**
 * For reports and logs.
 *
 * @example
 * ```ts
 * import { createPopulation, createRandom, explain, learnThenTest } from "sortie/calibration";
 *
 * const few = createPopulation({ size: 20_000 }).draw(60, createRandom(1));
 * const text = explain(learnThenTest(few, { alpha: 0.05, delta: 0.1 }));
 * console.log(text.split(".")[0]); // Nothing is promised, and no sample should leave early
 * ```
 */
export function explain(result: Calibration | BudgetChoice | PublishedChoice): string {
  checkKind("explain", "result", result);
  const { guarantee, method, n } = result;
  if (!result.ok) {
    const advice = "alpha" in result ? ", and no sample should leave early" : "";
    return `Nothing is promised${advice}. ${capital(result.reason)}`;
  }
  const by = `${method} on ${n} samples`;
  const opening = guarantee.kind === "none" ? `There is no guarantee (${by})` : `By ${by}`;
  const promise = `${opening}: ${lower(guarantee.promise)}`;
  return `${promise} This assumes that ${list(guarantee.assumptions)}.`;
}

function list(items: readonly string[]): string {
  return items.length < 2 ? (items[0] ?? "nothing") : `${items.slice(0, -1).join(", ")}, and that ${items.at(-1)}`;
}

const capital = (text: string) => text.charAt(0).toUpperCase() + text.slice(1);
const lower = (text: string) => text.charAt(0).toLowerCase() + text.slice(1);
