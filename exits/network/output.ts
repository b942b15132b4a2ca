// What all exits of a network say of a batch: their records, and each field of all of them as one tensor, stacked when
// it is asked for.

import { stack, type Tensor } from "../../engine/functions.ts";
import type { ExitRecord } from "./heads/head.ts";

/**
 * Fields of all exits that have them, stacked behind the batch: logits [N, K, C], confidence [N, K - 1] where the last
 * exit has none.
 */
export type ExitOutput = { readonly logits: Tensor } & Readonly<Record<string, Tensor>>;

/**
 * The records of all exits as stacked fields. A field that nobody asks for costs nothing; `features` stack where they
 * are of one size.
 */
export function stackRecords(records: readonly ExitRecord[]): ExitOutput {
  const output = {};
  for (const field of new Set(records.flatMap(Object.keys))) {
    let stacked: Tensor | undefined;
    const get = () => {
      stacked ??= stack(
        records.flatMap((record) => record[field] ?? []),
        { dim: 1 },
      );
      return stacked;
    };
    Object.defineProperty(output, field, { get, enumerable: true });
  }
  return output as ExitOutput;
}
