// The first of the three steps: fit scalers on validation samples, exit by exit, and apply them to other tables.

import { type Kinds, misfit } from "../../base/index.ts";
import { CalibrationError, check, checkKind, checkNotEmpty, checkRead, readOptions } from "../errors.ts";
import { failureTargets } from "../metrics/eefp.ts";
import { column, indices, rowsBelow } from "../numeric/arrays.ts";
import { SCALING_METHOD } from "../rules/options.ts";
import { fittedBy, rememberFit } from "../table/fitted.ts";
import { scaledOrigin } from "../table/origin.ts";
import { correctness, type Outcomes, outcomes } from "../table/outcomes.ts";
import { checkTable, mapLogits, type Table } from "../table/table.ts";
import {
  type ConfidenceMethod,
  type ConfidenceScaler,
  fitConfidenceScaler,
  leaveConfidences,
  scaleConfidence,
} from "./confidence-scalers.ts";
import {
  applyLogitScaler,
  type ExitLogits,
  FIT,
  FIT_READERS,
  type FitOptions,
  fitExitLogits,
  type LogitMethod,
  type LogitScaler,
  readExits,
} from "./logit-scalers.ts";

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

const SCALING: Kinds<ScalingOptions> = { ...FIT, method: "string!", survivorsOf: "any" };

/** Logits kept in memory at once, in values: a table with more is read once per group of exits. */
const LARGEST_GROUP = 1 << 28;

/**
 * Fits one scaler per exit, on as few readings of the table as memory allows. @throws CalibrationError if no sample
 * survives to an exit.
 *
 * @example
 * ```ts
 * import { applyScaling, createRandom, createTable, fit } from "sortie/calibration";
 *
 * const random = createRandom(1);
 * const labels = Int32Array.from({ length: 500 }, () => random.below(2));
 * const logits = Float32Array.from(
 *   { length: 1000 },
 *   (_, at) => (at % 2 === labels[at >> 1] ? 4 : 0) + 4 * random.normal(),
 * );
 * const table = createTable({ logits, labels, shape: [500, 1, 2] });
 * const scaling = fit(table, { method: "temperature" }); // one number for each exit
 * console.log(scaling.scalers.length, scaling.converged); // 1 true
 * console.log(applyScaling(table, scaling).samples); // 500
 * ```
 */
export function fit(table: Table, options: ScalingOptions): Scaling {
  const { method, survivorsOf, ...fitting } = readOptions("fit", options, SCALING);
  if (!SCALING_METHOD.fits(method)) throw new CalibrationError(`fit: ${misfit("method", SCALING_METHOD, method)}`);
  checkRead("fit", fitting, ["method", method], FIT_READERS);
  checkTable("fit", table);
  const isToLogits = isLogitMethod(method);
  const all = survivorsOf || !isToLogits || method === "failure" ? outcomes(table) : undefined;
  const alive = all && survivorsOf ? survivors(all, survivorsOf) : undefined;
  const scalers = isToLogits
    ? fitToLogits(table, { all, alive }, method, fitting)
    : fitToConfidences(all ?? outcomes(table), alive, method);
  const samples = scalers.map((_, j) => alive?.[j]?.length ?? table.samples);
  const scaling = { scalers, samples, converged: scalers.every((scaler) => scaler.converged) };
  rememberFit(scaling, table);
  return scaling;
}

/** The samples that reach each exit under thresholds on the largest probability. */
function survivors({ maxProb, exits, samples }: Outcomes, thresholds: ArrayLike<number>): readonly Int32Array[] {
  let alive = indices(samples);
  return Array.from({ length: exits }, (_, j) => {
    if (j > 0) alive = rowsBelow(alive, maxProb, exits, j - 1, thresholds[j - 1]!);
    checkNotEmpty("fit", `the survivors of exit ${j - 1} (counted from 0)`, alive.length);
    return alive;
  });
}

function fitToLogits(
  table: Table,
  { all, alive }: { readonly all: Outcomes | undefined; readonly alive: readonly Int32Array[] | undefined },
  method: LogitMethod,
  options: FitOptions,
): readonly LogitScaler[] {
  const { samples, exits, classes } = table;
  const wanted =
    method === "failure" && all ? failureTargets("fit", all.errors, exits, options.target ?? "oracle") : undefined;
  const group = Math.max(1, Math.floor(LARGEST_GROUP / (samples * classes)));
  const scalers: LogitScaler[] = [];
  for (let first = 0; first < exits; first += group) {
    for (const read of readExits(table, first, Math.min(group, exits - first))) {
      const exit = scalers.length;
      const own = wanted ? { ...read, targets: Uint8Array.from(column(wanted, exits, exit)) } : read;
      const rows = alive?.[exit];
      scalers.push(fitExitLogits(rows ? selectRows(own, rows) : own, method, options));
    }
  }
  return scalers;
}

function selectRows({ z, labels, classes, targets }: ExitLogits, rows: Int32Array): ExitLogits {
  const own = new Float64Array(rows.length * classes);
  rows.forEach((row, i) => {
    own.set(z.subarray(row * classes, (row + 1) * classes), i * classes);
  });
  const some = targets && { targets: Uint8Array.from(rows, (row) => targets[row]!) };
  return { z: own, labels: rows.map((row) => labels[row]!), classes, ...some };
}

function fitToConfidences(
  all: Outcomes,
  alive: readonly Int32Array[] | undefined,
  method: ConfidenceMethod,
): readonly ConfidenceScaler[] {
  return Array.from({ length: all.exits }, (_, j) => {
    const correct = correctness(all.errors, all.exits, j, alive?.[j]);
    const scores = column(all.maxProb, all.exits, j, alive?.[j]);
    return leaveConfidences(correct) ?? fitConfidenceScaler(scores, correct, method);
  });
}

/** What a user should know of a fit, one line for each exit that has something. */
export function scalingNotes(scaling: Scaling, names?: readonly string[]): readonly string[] {
  checkKind("scalingNotes", "scaling", scaling);
  return scaling.scalers.flatMap(({ note, converged }, j) => {
    if (converged) return [];
    const what = note ?? "the scaling did not converge; see its parameters";
    return [`${names?.[j] ?? `exit ${j + 1}`}: ${what}`];
  });
}

/** The table or its outcomes, scaled: whichever this kind of scaling changes. */
export function applyScaling(table: Table, scaling: Scaling): Table | Outcomes {
  checkTable("applyScaling", table);
  checkKind("applyScaling", "scaling", scaling);
  return isLogitScaling(scaling) ? scaleLogits(table, scaling) : scaleConfidences(outcomes(table), scaling);
}

/** The table with every exit's logits scaled, computed as it is read. For the methods of `LogitMethod`. */
export function scaleLogits(table: Table, scaling: Scaling): Table {
  checkKind("scaleLogits", "table", table);
  checkKind("scaleLogits", "scaling", scaling);
  checkCount(table, scaling);
  const { classes } = table;
  const scaled = mapLogits(table, (values, at) => {
    for (const [j, scaler] of scaling.scalers.entries()) {
      const { method } = scaler;
      check("parameters" in scaler, "scaleLogits", "scalers must change logits", method, "Use scaleConfidences.");
      applyLogitScaler(scaler, values, at + j * classes, classes);
    }
  });
  return { ...scaled, origin: scaledOrigin(table.origin, scaling), fittedOn: fittedBy(scaling, table.fittedOn) };
}

/** Outcomes with every exit's largest probability scaled. For histogram, isotonic and beta. */
export function scaleConfidences(all: Outcomes, scaling: Scaling): Outcomes {
  checkKind("scaleConfidences", "outcomes", all);
  checkKind("scaleConfidences", "scaling", scaling);
  checkCount(all, scaling);
  const maxProb = all.maxProb.map((score, at) => {
    const scaler = scaling.scalers[at % all.exits]!;
    check("knots" in scaler, "scaleConfidences", "scalers must change confidences", scaler.method, "Use scaleLogits.");
    return scaleConfidence(scaler, score);
  });
  return { ...all, maxProb, origin: scaledOrigin(all.origin, scaling), fittedOn: fittedBy(scaling, all.fittedOn) };
}

/** True for scalings of logits, false for scalings of confidences. */
export function isLogitScaling(scaling: Scaling): boolean {
  checkKind("isLogitScaling", "scaling", scaling);
  return scaling.scalers.every((scaler) => "parameters" in scaler);
}

function isLogitMethod(method: LogitMethod | ConfidenceMethod): method is LogitMethod {
  return method !== "histogram" && method !== "isotonic" && method !== "beta";
}

function checkCount({ exits }: { readonly exits: number }, { scalers }: Scaling): void {
  check(scalers.length === exits, "scale", `there must be one scaler per exit (${exits})`, scalers.length);
}
