// Cached logits: samples x exits x classes, labels and costs. The one thing calibration reads.
// A table may be larger than memory: it then hands out rows through a reader, a chunk at a time.

import { type Kinds, take, what } from "../../base/index.ts";
import { check, checkKind, checkLengths, checkNotEmpty, fail, readOptions } from "../errors.ts";
import { areCosts, copyRows } from "../numeric/arrays.ts";
import { ANY_VALUES } from "../rules/options.ts";
import type { Origin } from "./origin.ts";

/** Rows of logits, `[rows, K, C]` flattened. */
export type Values = Float32Array | Float64Array;

/** Reads rows `first .. first + count - 1` of a table that does not fit in memory. Synchronous. */
export type RowReader = (first: number, count: number) => Values;

/** The samples that something was fitted on; labels are theirs alone, so that a table is known again by them. */
export interface FittedOn {
  readonly ids: Table["ids"];
  readonly labels: Int32Array;
}

/** Cached logits with labels and costs. Make one with `createTable`. */
export interface Table {
  /** N. */
  readonly samples: number;
  /** K, shallow to deep; the last exit always answers. */
  readonly exits: number;
  /** C. */
  readonly classes: number;
  /** `[N]`, 0 .. C-1. */
  readonly labels: Int32Array;
  /** `[K]` cost of leaving at each exit as a share of the cost of the last. */
  readonly costs: Float64Array;
  /** What costs are counted in, where they were measured (`withCosts`). */
  readonly costUnit?: "milliseconds" | undefined;
  /** Names of the samples, if known: with them, using one sample for calibration and for test is refused. */
  readonly ids: readonly (string | number)[] | undefined;
  /** Which network, scaled how. */
  readonly origin?: Origin | undefined;
  /** What scalings that were applied were fitted on. */
  readonly fittedOn?: readonly FittedOn[] | undefined;
  /** `[N, K-1]`: how sure each early exit is by what its head says of itself, before the sigmoid; if heads do. */
  readonly confidence?: Float64Array | undefined;
  /** Rows of finite logits. */
  readonly read: RowReader;
}

/** What `createTable` needs. */
export interface TableInput {
  /** All logits in row-major order, or a reader of rows. */
  readonly logits: Values | RowReader;
  readonly labels: ArrayLike<number | bigint>;
  /** `[N, K, C]`. */
  readonly shape: readonly [number, number, number];
  /**
   * `[K]` multiply-accumulates (or milliseconds) spent when leaving at each exit, heads passed included. Default:
   * depth, (j+1)/K.
   */
  readonly macs?: ArrayLike<number>;
  /** 5, "5" and 5n are one sample. */
  readonly ids?: ArrayLike<string | number | bigint>;
  /** Digest of the network's weights, if known: with it, using a policy of another network is refused. */
  readonly weights?: string;
  /**
   * `[N, K-1]`: how sure each early exit is by what its head says of itself, before the sigmoid: any finite numbers
   * that rise with confidence.
   */
  readonly confidence?: ArrayLike<number>;
  /** What the values are. Probabilities must sum to 1 over classes, and become logarithms. */
  readonly values?: "logits" | "probabilities";
  /** Takes values for logits even where all rows look like probabilities. */
  readonly anyValues?: boolean;
}

const CHUNK_VALUES = 1 << 21;
const SMALLEST_PROBABILITY = 1e-300;
/** Half floats of many classes add up to no better. */
const SUM_TOLERANCE = 1e-3;

const TABLE: Kinds<TableInput> = {
  logits: "any!",
  labels: "any!",
  shape: "any!",
  macs: "any",
  ids: "any",
  values: "string",
  anyValues: ANY_VALUES,
  weights: "string",
  confidence: "any",
};

/**
 * Checks and wraps cached logits.
 * @throws CalibrationError for an empty table, lengths that disagree, labels outside 0 .. C-1, values that are not
 * finite, probabilities that do not sum to 1, logits that all look like probabilities, and costs that are not positive
 * and non-decreasing.
 *
 * @example
 * ```ts
 * import { createTable } from "sortie/calibration";
 *
 * const table = createTable({
 *   logits: [2, 0, 3, 0, 0, 1, 0, 4], // of two samples, at two exits, for two classes
 *   labels: [0, 1],
 *   shape: [2, 2, 2],
 *   macs: [1e6, 4e6],
 * });
 * console.log(table.samples, table.exits, table.classes); // 2 2 2
 * ```
 */
export function createTable(input: TableInput): Table {
  readOptions("createTable", input, TABLE);
  if (!Array.isArray(input.shape)) fail("table", "shape must be [samples, exits, classes]", what(input.shape));
  const [samples, exits, classes] = input.shape;
  const labels = Int32Array.from(Array.from(input.labels, Number));
  checkNotEmpty("table", "the table", samples);
  const isShape = [samples, exits, classes].every((extent) => Number.isInteger(extent) && extent > 0);
  check(isShape, "table", "shape must be [samples, exits, classes]", `[${input.shape.join(", ")}]`);
  checkLengths("table", "labels", labels.length, "samples", samples);
  const wrong = labels.findIndex((label, i) => Number(input.labels[i]) !== label || label < 0 || label >= classes);
  const place = `${input.labels[wrong]} at sample ${wrong}`;
  check(wrong < 0, "table", `labels must be whole numbers in 0..${classes - 1}`, place);
  const ids = readIds("table", input.ids, samples);
  const values = input.values === "probabilities" ? input.values : input.anyValues ? "anything" : "logits";
  const { logits } = input;
  const width = exits * classes;
  let read: RowReader;
  if (typeof logits === "function") {
    read = (first, count) => checkedRows(logits(first, count), first, count, exits, classes, values);
  } else {
    const all = checkedRows(logits, 0, samples, exits, classes, values);
    read = (first, count) => all.subarray(first * width, (first + count) * width);
  }
  const origin: Origin = input.weights === undefined ? {} : { weights: input.weights };
  const confidence = input.confidence && checkedConfidence(input.confidence, samples, exits);
  return { samples, exits, classes, labels, costs: relativeCosts(input.macs, exits), ids, origin, confidence, read };
}

/** @throws CalibrationError for what is no table, a promise of one for instance. */
export function checkTable(op: string, table: Table): void {
  checkKind(op, "table", table);
}

/** Visits all rows in order, in chunks of a few megabytes. */
export function forEachChunk(table: Table, visit: (rows: Values, first: number, count: number) => void): void {
  const step = Math.max(1, Math.floor(CHUNK_VALUES / (table.exits * table.classes)));
  for (let first = 0; first < table.samples; first += step) {
    const count = Math.min(step, table.samples - first);
    visit(table.read(first, count), first, count);
  }
}

/** The table restricted to some samples, in the given order; rows are copied when read. */
export function selectSamples(table: Table, rows: ArrayLike<number>): Table {
  checkKind("selectSamples", "table", table);
  checkKind("selectSamples", "list", rows, "rows");
  const picked = Int32Array.from(rows);
  checkNotEmpty("selectSamples", "the selection", picked.length);
  const width = table.exits * table.classes;
  const { ids } = table;
  return {
    ...table,
    samples: picked.length,
    labels: Int32Array.from(take(table.labels, picked)),
    ids: ids && take(ids, picked),
    confidence: selectedConfidence(table, picked),
    read: (first, count) => {
      const out = new Float64Array(count * width);
      picked.subarray(first, first + count).forEach((row, i) => {
        out.set(table.read(row, 1), i * width);
      });
      return out;
    },
  };
}

/**
 * A table whose logits are changed sample by sample, for instance by a scaler. `change` writes `[K, C]` values in
 * place.
 */
export function mapLogits(table: Table, change: (values: Float64Array, offset: number) => void): Table {
  const width = table.exits * table.classes;
  return {
    ...table,
    read: (first, count) => {
      const rows = Float64Array.from(table.read(first, count));
      for (let i = 0; i < count; i++) change(rows, i * width);
      return rows;
    },
  };
}

/** Refuses two sets of samples that share an id. Sets without ids cannot be told apart and pass. */
export function checkDisjoint(
  op: string,
  a: { readonly ids: Table["ids"] },
  b: { readonly ids: Table["ids"] },
  names: readonly [string, string] = ["calibration", "test"],
): void {
  if (!a.ids || !b.ids) return;
  const seen = new Set(a.ids.map(String));
  const shared = b.ids.filter((id) => seen.has(String(id)));
  check(
    shared.length === 0,
    op,
    `${names[0]} and ${names[1]} samples must differ`,
    `${shared.length} shared ids (first: ${String(shared[0])})`,
    "A guarantee holds only for samples that were not used to choose the thresholds.",
  );
}

/**
 * Names of samples as a policy file can hold them. @throws CalibrationError for other things than texts and numbers.
 */
export function readIds(op: string, ids: TableInput["ids"], samples: number): Table["ids"] {
  if (!ids) return undefined;
  checkLengths(op, "ids", ids.length, "samples", samples);
  return Array.from(ids, (id) => {
    const name = typeof id === "bigint" ? plainInteger(id) : id;
    const isName = typeof name === "string" || Number.isFinite(name);
    if (!isName) fail(op, "ids must be texts or numbers", what(id));
    return name;
  });
}

/** A number where it holds all digits, else a text. */
const plainInteger = (value: bigint): string | number =>
  Number.isSafeInteger(Number(value)) ? Number(value) : String(value);

/** `macs` divided by its last entry; depth where there are none. */
export function relativeCosts(macs: ArrayLike<number> | undefined, exits: number): Float64Array {
  const costs = Float64Array.from(macs ?? Array.from({ length: exits }, (_, j) => j + 1));
  checkLengths("table", "macs", costs.length, "exits", exits);
  check(
    areCosts(costs),
    "table",
    "macs must be positive and must not decrease from exit to exit",
    `[${costs.join(", ")}]`,
  );
  const full = Math.max(...costs);
  return costs.map((cost) => cost / full);
}

function checkedConfidence(given: ArrayLike<number>, samples: number, exits: number): Float64Array {
  checkLengths("table", "confidence", given.length, "samples x early exits", samples * (exits - 1));
  const values = Float64Array.from(given);
  const wrong = values.findIndex((value) => !Number.isFinite(value));
  const place = `${values[wrong]} at sample ${Math.floor(wrong / (exits - 1))}`;
  check(wrong < 0, "table", "confidences must be finite", place);
  return values;
}

/** The confidences of some samples. */
function selectedConfidence({ confidence, exits }: Table, rows: Int32Array): Float64Array | undefined {
  if (!confidence) return undefined;
  const out = new Float64Array(rows.length * (exits - 1));
  copyRows(confidence, rows, exits - 1, out);
  return out;
}

function checkedRows(
  rows: Values,
  first: number,
  count: number,
  exits: number,
  classes: number,
  values: "logits" | "probabilities" | "anything",
): Values {
  const wanted = count * exits * classes;
  check(rows.length === wanted, "table", `rows must hold ${wanted} values`, rows.length);
  if (values === "probabilities") return logProbabilities(rows, first, exits, classes);
  for (let at = 0; at < wanted; at++) {
    const x = rows[at]!;
    // NaN and both infinities give NaN here
    if (x - x !== 0) fail("table", "logits must be finite", `${x} at ${position(at, first, exits, classes)}`);
  }
  if (values === "logits" && count * exits >= FEW_ROWS) {
    check(
      !areProbabilities(rows, classes),
      "table",
      "logits must not be probabilities",
      `${count * exits} rows that all are within 0 and 1 and sum to 1`,
      'Say values: "probabilities" (--probabilities), or, if they are logits after all, anyValues: true (--any-values).',
    );
  }
  return rows;
}

/** Rows that may all sum to 1 by chance. */
const FEW_ROWS = 10;

function areProbabilities(rows: Values, classes: number): boolean {
  for (let row = 0; row < rows.length; row += classes) {
    let sum = 0;
    for (let c = 0; c < classes; c++) {
      const p = rows[row + c]!;
      if (p < 0) return false;
      sum += p;
    }
    if (Math.abs(sum - 1) > SUM_TOLERANCE) return false;
  }
  return true;
}

function logProbabilities(rows: Values, first: number, exits: number, classes: number): Float64Array {
  const out = new Float64Array(rows.length);
  for (let row = 0; row < rows.length; row += classes) {
    let sum = 0;
    for (let c = 0; c < classes; c++) {
      const p = rows[row + c]!;
      if (!(p >= 0))
        fail("table", "probabilities must not be negative", `${p} at ${position(row + c, first, exits, classes)}`);
      sum += p;
      out[row + c] = Math.log(Math.max(p, SMALLEST_PROBABILITY));
    }
    check(
      Math.abs(sum - 1) <= SUM_TOLERANCE,
      "table",
      "probabilities must sum to 1 over classes",
      `${Number(sum.toPrecision(6))} at ${position(row, first, exits, classes, false)}`,
      'For unnormalised outputs use values: "logits".',
    );
  }
  return out;
}

function position(index: number, first: number, exits: number, classes: number, withClass = true): string {
  const row = Math.floor(index / classes);
  const place = `sample ${first + Math.floor(row / exits)}, exit ${row % exits}`;
  return `${withClass ? `${place}, class ${index % classes}` : place} (counted from 0)`;
}
