/**
 * Fixed paths of threshold rows, from strict to loose, for fixed-sequence testing. A path is designed on labelled
 * validation samples, which the tests never see: any design keeps the guarantee, a good one loses little power.
 */

import type { RiskLevels } from "./ltt.ts";
import { fallingOrder } from "./ranks.ts";
import type { Cascade } from "./scores.ts";

/** Which samples share one promise on a path: those of each exit, all that leave early, or those of each label. */
export type PathControl = "exit" | "early" | "label";

/** What the design may know: validation samples, the levels, and how many calibration samples will be tested. */
export interface PathInput extends RiskLevels {
  readonly validation: Cascade;
  readonly control: PathControl;
  readonly n: number;
  readonly steps: number;
}

/** Accepted samples and errors of every promised group under one row. */
export interface GroupCounts {
  readonly accepted: Float64Array;
  readonly errors: Float64Array;
  /** `[K-1]` samples that leave at each early exit. */
  readonly left: Float64Array;
}

/** Groups a control has. */
export function groupCount(control: PathControl, { exits, classes }: Cascade): number {
  return control === "exit" ? exits - 1 : control === "label" ? classes : 1;
}

/** Counts of early leavers per group under thresholds `[K-1]`. `visit` sees each of them. */
export function countGroups(
  cascade: Cascade,
  thresholds: Float64Array,
  control: PathControl,
  visit?: (group: number, error: number) => void,
): GroupCounts {
  const { samples, exits, scores, errors, labels } = cascade;
  const accepted = new Float64Array(groupCount(control, cascade));
  const wrong = new Float64Array(accepted.length);
  const left = new Float64Array(exits - 1);
  for (let i = 0; i < samples; i++) {
    const at = i * exits;
    let j = 0;
    while (j < exits - 1 && scores[at + j]! < thresholds[j]!) j++;
    if (j === exits - 1) continue;
    const group = control === "exit" ? j : control === "label" ? labels[i]! : 0;
    accepted[group] = accepted[group]! + 1;
    wrong[group] = wrong[group]! + errors[at + j]!;
    left[j] = left[j]! + 1;
    visit?.(group, errors[at + j]!);
  }
  return { accepted, errors: wrong, left };
}

/** Predicted z-value of the test "risk <= alpha" from validation counts scaled to the calibration size. */
function predictedZ(errors: number, accepted: number, scale: number, alpha: number): number {
  const rate = (errors + 0.5) / (accepted + 1);
  return (alpha - rate) * Math.sqrt((accepted * scale) / (alpha * (1 - alpha)));
}

/** Weight of the newest z in a running mean over neighbouring thresholds: single validation samples should not decide. */
const DAMPING = 0.2;

/** An exit is opened only where its test is predicted to pass with a little room (the normal quantile of delta, about). */
const roomyZ = (delta: number) => 0.75 * Math.sqrt(2 * Math.log(1 / delta));

/**
 * Rows `[K-1]` of thresholds. Control "exit": row g gives every exit the loosest threshold whose predicted z is at
 * least z_g, falling from 6 to 0, so that all exits reach their limit together; exits that cannot pass stay closed.
 * Otherwise: every exit accepts up to a common validation risk that rises to 1.5 alpha.
 * Rows before the first that is predicted to pass are left out.
 */
export function designPath(input: PathInput): readonly Float64Array[] {
  const { validation, control, n, steps, alpha, delta } = input;
  const { exits, scores } = validation;
  const scale = n / validation.samples;
  const orders = Array.from({ length: exits - 1 }, (_, j) => fallingOrder(scores, exits, j));
  const rows: Float64Array[] = [];
  for (let g = 0; g < steps; g++) {
    const progress = g / Math.max(1, steps - 1);
    const row =
      control === "exit"
        ? designRow(validation, orders, { z: 6 * (1 - progress), roomy: roomyZ(delta), scale, alpha })
        : designRow(validation, orders, { risk: 1.5 * alpha * progress });
    const previous = rows.at(-1);
    const isNew = row.some((t) => t < Number.POSITIVE_INFINITY) && !row.every((t, j) => t === previous?.[j]);
    if (isNew) rows.push(row);
  }
  return rows.slice(firstPromising(rows, input, scale));
}

/** Either a predicted z to keep, or a validation risk not to exceed. */
type RowGoal =
  | { readonly z: number; readonly roomy: number; readonly scale: number; readonly alpha: number }
  | { readonly risk: number };

function designRow(validation: Cascade, orders: readonly Int32Array[], goal: RowGoal): Float64Array {
  const { exits, samples, scores, errors } = validation;
  const gone = new Uint8Array(samples);
  const row = new Float64Array(exits - 1).fill(Number.POSITIVE_INFINITY);
  orders.forEach((order, j) => {
    let accepted = 0;
    let wrong = 0;
    let damped = Number.NEGATIVE_INFINITY;
    let best = Number.NEGATIVE_INFINITY;
    let threshold = Number.POSITIVE_INFINITY;
    for (let rank = 0; rank < samples; rank++) {
      const i = order[rank]!;
      const score = scores[i * exits + j]!;
      if (gone[i] === 0) {
        accepted++;
        wrong += errors[i * exits + j]!;
      }
      const next = order[rank + 1];
      if (accepted === 0 || (next !== undefined && scores[next * exits + j] === score)) continue; // inside a tie
      if ("risk" in goal) {
        if (wrong <= goal.risk * accepted) threshold = score;
        continue;
      }
      const z = predictedZ(wrong, accepted, goal.scale, goal.alpha);
      best = Math.max(best, z);
      damped = damped === Number.NEGATIVE_INFINITY ? z : damped + DAMPING * (z - damped);
      if (damped >= goal.z) threshold = score;
    }
    if ("z" in goal && best < goal.roomy) threshold = Number.POSITIVE_INFINITY;
    row[j] = threshold;
    for (let i = 0; i < samples; i++) if (scores[i * exits + j]! >= threshold) gone[i] = 1;
  });
  return row;
}

/** The first row whose every group is predicted to pass with a little room; failing that, the best. */
function firstPromising(rows: readonly Float64Array[], input: PathInput, scale: number): number {
  let best = 0;
  let bestZ = Number.NEGATIVE_INFINITY;
  for (let g = 0; g < rows.length; g++) {
    const counts = countGroups(input.validation, rows[g]!, input.control);
    let z = Number.POSITIVE_INFINITY;
    counts.accepted.forEach((accepted, group) => {
      if (accepted > 0) z = Math.min(z, predictedZ(counts.errors[group]!, accepted, scale, input.alpha));
    });
    if (z >= roomyZ(input.delta)) return g;
    if (z > bestZ) {
      best = g;
      bestZ = z;
    }
  }
  return best;
}
