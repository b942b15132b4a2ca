/** The first of the three steps: fit scalers on validation samples, exit by exit, and apply them to other tables. */

import { check, checkNotEmpty } from "./errors.ts";
import { scaledOrigin } from "./origin.ts";
import { column, correctness, type Outcomes, outcomes } from "./outcomes.ts";
import {
  type ConfidenceMethod,
  type ConfidenceScaler,
  fitConfidenceScaler,
  scaleConfidence,
} from "./scalers/confidence-scalers.ts";
import {
  applyLogitScaler,
  type FitOptions,
  fitLogitScaler,
  type LogitMethod,
  type LogitScaler,
} from "./scalers/logit-scalers.ts";
import { mapLogits, selectSamples, type Table } from "./table.ts";

/** What to fit, and on whom. */
export interface ScalingOptions extends FitOptions {
  readonly method: LogitMethod | ConfidenceMethod;
  /**
   * Fit each exit on the samples that every earlier exit refuses under these thresholds (`[K-1]`, on the largest
   * probability), instead of on all: what the exit will really see.
   */
  readonly survivorsOf?: ArrayLike<number>;
}

/** One scaler per exit. */
export interface Scaling {
  readonly scalers: readonly (LogitScaler | ConfidenceScaler)[];
  /** Samples each exit was fitted on. */
  readonly samples: readonly number[];
  /** False if any exit's fit did not reach its minimum. */
  readonly converged: boolean;
}

/** Fits one scaler per exit. Throws if no sample survives to an exit. */
export function fit(table: Table, options: ScalingOptions): Scaling {
  const { method, survivorsOf } = options;
  const all = outcomes(table);
  let alive = Int32Array.from({ length: table.samples }, (_, i) => i);
  const scalers: (LogitScaler | ConfidenceScaler)[] = [];
  const samples: number[] = [];
  for (let j = 0; j < table.exits; j++) {
    checkNotEmpty("fit", `the survivors of exit ${j - 1} (counted from 0)`, alive.length);
    if (isLogitMethod(method)) {
      const own = alive.length === table.samples ? table : selectSamples(table, alive);
      scalers.push(fitLogitScaler(own, j, method, options));
    } else {
      const scores = column(all.maxProb, table.exits, j);
      const correct = correctness(all.errors, table.exits, j);
      scalers.push(
        fitConfidenceScaler(
          Float64Array.from(alive, (i) => scores[i]!),
          Uint8Array.from(alive, (i) => correct[i]!),
          method,
        ),
      );
    }
    samples.push(alive.length);
    if (survivorsOf && j < table.exits - 1)
      alive = alive.filter((i) => all.maxProb[i * table.exits + j]! < survivorsOf[j]!);
  }
  return { scalers, samples, converged: scalers.every((scaler) => scaler.converged) };
}

/** The table or its outcomes, scaled: whichever this kind of scaling changes. */
export function applyScaling(table: Table, scaling: Scaling): Table | Outcomes {
  return isLogitScaling(scaling) ? scaleLogits(table, scaling) : scaleConfidences(outcomes(table), scaling);
}

/** The table with every exit's logits scaled, computed as it is read. For temperature, vector, matrix and Dirichlet. */
export function scaleLogits(table: Table, scaling: Scaling): Table {
  checkCount(table, scaling);
  const { exits, classes } = table;
  const scaled = mapLogits(table, (values, at) => {
    for (let j = 0; j < exits; j++) {
      const scaler = scaling.scalers[j]!;
      check(
        "parameters" in scaler,
        "scaleLogits",
        "scalers must change logits",
        scaler.method,
        "Use scaleConfidences.",
      );
      applyLogitScaler(scaler, values, at + j * classes, classes);
    }
  });
  return { ...scaled, origin: scaledOrigin(table.origin, scaling) };
}

/** Outcomes with every exit's largest probability scaled. For histogram, isotonic and beta. */
export function scaleConfidences(all: Outcomes, scaling: Scaling): Outcomes {
  checkCount(all, scaling);
  const maxProb = all.maxProb.map((score, at) => {
    const scaler = scaling.scalers[at % all.exits]!;
    check("knots" in scaler, "scaleConfidences", "scalers must change confidences", scaler.method, "Use scaleLogits.");
    return scaleConfidence(scaler, score);
  });
  return { ...all, maxProb, origin: scaledOrigin(all.origin, scaling) };
}

/** True for scalings of logits, false for scalings of confidences. */
export function isLogitScaling({ scalers }: Scaling): boolean {
  return scalers.every((scaler) => "parameters" in scaler);
}

function isLogitMethod(method: LogitMethod | ConfidenceMethod): method is LogitMethod {
  return method === "temperature" || method === "vector" || method === "matrix" || method === "dirichlet";
}

function checkCount({ exits }: { readonly exits: number }, { scalers }: Scaling): void {
  check(scalers.length === exits, "scale", `there must be one scaler per exit (${exits})`, scalers.length);
}
