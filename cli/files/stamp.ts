// Of which weights and policy something was measured: what was measured of others is not told as if it were theirs.

import { createHash } from "node:crypto";
import { json } from "../../base/index.ts";
import { encodePolicy, type PolicyFile, type Table } from "../../calibration/index.ts";

/** What a measurement belongs to. */
export interface Stamp {
  /** Digest of the weights; `unknown` where the logits do not say. */
  readonly weights: string;
  /** Digest of the policy's file; `none` without one. */
  readonly policy: string;
}

/** How the parts of a stamp are read. */
export const STAMP = {
  weights: json.text,
  policy: json.text,
} as const satisfies Readonly<Record<keyof Stamp, json.Reader<unknown>>>;

/** The stamp of what is measured of a network's logits and a policy. */
export const stampOf = ({ origin }: Pick<Table, "origin">, policy: PolicyFile | undefined): Stamp => ({
  weights: origin?.weights ?? "unknown",
  policy: policy ? createHash("sha256").update(encodePolicy(policy)).digest("hex") : "none",
});

/** What is another than it was when something was measured; undefined where nothing is. */
export function changedSince(then: Stamp, now: Stamp): "weights" | "policy" | undefined {
  return (["weights", "policy"] as const).find((part) => then[part] !== now[part]);
}
