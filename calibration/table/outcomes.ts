// One pass over a table: what every exit answered, whether it was right, and how sure it was.

import { column } from "../numeric/arrays.ts";
import { SoftmaxRow } from "../numeric/softmax.ts";
import { checkTable, forEachChunk, type Table } from "./table.ts";

/** Per sample and exit, arrays `[N, K]`. A few dozen bytes each, whatever the number of classes. */
export interface Outcomes {
  readonly samples: number;
  readonly exits: number;
  readonly classes: number;
  readonly labels: Int32Array;
  readonly costs: Float64Array;
  readonly costUnit?: Table["costUnit"];
  readonly ids: Table["ids"];
  readonly origin?: Table["origin"];
  readonly fittedOn?: Table["fittedOn"];
  readonly confidence?: Table["confidence"];
  readonly predictions: Int32Array;
  /** 1 where the prediction is wrong. */
  readonly errors: Uint8Array;
  /**
   * Largest probability. Near 1, where a double has no digits left, it and the next two keep the order of samples
   * (certainty.ts).
   */
  readonly maxProb: Float64Array;
  /** Largest minus second largest probability. */
  readonly margin: Float64Array;
  /** In nats. */
  readonly entropy: Float64Array;
  readonly logSumExp: Float64Array;
  readonly maxLogit: Float64Array;
  /** -log of the label's probability. */
  readonly nll: Float64Array;
  /** Sum over classes of the squared distance to the label's indicator. */
  readonly brier: Float64Array;
}

/** Reads a table once. */
export function outcomes(table: Table): Outcomes {
  checkTable("outcomes", table);
  const { samples, exits, classes, labels, costs, costUnit, ids, origin, fittedOn, confidence } = table;
  const size = samples * exits;
  const result = {
    samples,
    exits,
    classes,
    labels,
    costs,
    costUnit,
    ids,
    origin,
    fittedOn,
    confidence,
    predictions: new Int32Array(size),
    errors: new Uint8Array(size),
    maxProb: new Float64Array(size),
    margin: new Float64Array(size),
    entropy: new Float64Array(size),
    logSumExp: new Float64Array(size),
    maxLogit: new Float64Array(size),
    nll: new Float64Array(size),
    brier: new Float64Array(size),
  };
  const row = new SoftmaxRow();
  forEachChunk(table, (rows, first, count) => {
    for (let r = 0; r < count * exits; r++) {
      const i = first * exits + r;
      const label = labels[first + Math.floor(r / exits)]!;
      row.read(rows, r * classes, classes);
      const logLabel = rows[r * classes + label]! - row.logSumExp;
      result.predictions[i] = row.prediction;
      result.errors[i] = row.prediction === label ? 0 : 1;
      result.maxProb[i] = row.maxProb;
      result.margin[i] = row.margin;
      result.entropy[i] = row.entropy;
      result.logSumExp[i] = row.logSumExp;
      result.maxLogit[i] = row.max;
      result.nll[i] = Math.max(0, -logLabel);
      result.brier[i] = Math.max(0, row.squares - 2 * Math.exp(logLabel) + 1);
    }
  });
  return result;
}

/** 1 minus an error flag, for one exit: of all samples, or of some. */
export function correctness(errors: Uint8Array, exits: number, exit: number, rows?: Int32Array): Uint8Array {
  return Uint8Array.from(column(errors, exits, exit, rows)).map((error) => 1 - error);
}
