// What leaving at an exit costs in quality, `[N, K]` in [0, 1]. Leaving at the last exit costs nothing.

import { checkKind, fail } from "../errors.ts";
import { argmax } from "../numeric/softmax.ts";
import { type Cascade, cascade, checkKnown, exitProbabilities, type Score, type Source } from "../table/scores.ts";
import { forEachChunk, type Table } from "../table/table.ts";

/**
 * - `acceptedAndWrong`: leaves early and is wrong.
 * - `disagreement`: answers differently from the last exit (needs no labels).
 * - `gap`: wrong where the last exit is right (the positive part of the difference of errors).
 * - `brierGap`: positive part of half the difference of Brier scores to the last exit.
 * - `brierDisagreement`: the same with the last exit's answer in place of the label.
 * - `hellinger`: Hellinger distance to the last exit's probabilities.
 */
export type ExitLoss = "acceptedAndWrong" | "disagreement" | "gap" | "brierGap" | "brierDisagreement" | "hellinger";

/** Losses of every sample at every exit. The last three need a table of logits. */
export function exitLosses(source: Source, loss: ExitLoss, score?: Score): Float64Array {
  checkKind("exitLosses", "source", source);
  if (loss === "acceptedAndWrong" || loss === "disagreement" || loss === "gap") {
    return flagLosses(cascade(source, score), loss);
  }
  if (!("read" in source)) fail("exitLosses", `loss ${loss} needs a table of logits`, "scores only");
  return probabilityLosses(source, loss, score);
}

/** True for losses that are 0 or 1, for which exact tests exist. */
export function isBinaryLoss(loss: ExitLoss): boolean {
  return loss === "acceptedAndWrong" || loss === "disagreement" || loss === "gap";
}

function flagLosses(c: Cascade, loss: "acceptedAndWrong" | "disagreement" | "gap"): Float64Array {
  const { exits, errors, predictions } = c;
  if (loss === "disagreement") checkKnown("exitLosses", "predictions", c);
  const last = exits - 1;
  return Float64Array.from(errors, (error, at) => {
    const j = at % exits;
    if (j === last) return 0;
    const final = at - j + last;
    if (loss === "acceptedAndWrong") return error;
    if (loss === "gap") return Math.max(0, error - errors[final]!);
    return predictions[at] === predictions[final] ? 0 : 1;
  });
}

function probabilityLosses(
  table: Table,
  loss: "brierGap" | "brierDisagreement" | "hellinger",
  score: Score | undefined,
): Float64Array {
  const { samples, exits, classes, labels } = table;
  const probabilities = exitProbabilities(score);
  const out = new Float64Array(samples * exits);
  const p = new Float64Array(exits * classes);
  const last = (exits - 1) * classes;
  forEachChunk(table, (rows, first, count) => {
    for (let i = 0; i < count; i++) {
      probabilities(rows, i * exits * classes, exits, classes, p);
      const target = loss === "brierGap" ? labels[first + i]! : argmax(p, last, classes);
      const finalBrier = brierAt(p, last, classes, target);
      for (let j = 0; j < exits - 1; j++) {
        out[(first + i) * exits + j] =
          loss === "hellinger"
            ? hellinger(p, j * classes, last, classes)
            : Math.max(0, (brierAt(p, j * classes, classes, target) - finalBrier) / 2);
      }
    }
  });
  return out;
}

function brierAt(p: Float64Array, at: number, classes: number, target: number): number {
  let sum = 1 - 2 * p[at + target]!;
  for (let c = 0; c < classes; c++) sum += p[at + c]! ** 2;
  return sum;
}

function hellinger(p: Float64Array, a: number, b: number, classes: number): number {
  let sum = 0;
  for (let c = 0; c < classes; c++) sum += (Math.sqrt(p[a + c]!) - Math.sqrt(p[b + c]!)) ** 2;
  return Math.min(1, Math.sqrt(sum / 2));
}
