// Where scores come from: which weights, scaled how. It travels from a table into every policy made of it, so that a
// policy is not used on scores that its promise says nothing about.

import { fail } from "../errors.ts";

/**
 * What is known of a table's logits, or of scores made of them. Absent as a whole: scores computed elsewhere, of which
 * nothing is known.
 */
export interface Origin {
  /** Digest of the network's weights; absent where nobody said. */
  readonly weights?: string;
  /** Digest of the scaling that was applied; absent: none was. */
  readonly scaling?: string;
}

/** What a policy remembers of the samples it was made on. */
export interface PolicyOrigin extends Origin {
  readonly exits: number;
  readonly classes: number;
}

/** What tells one exit's scaler from another: its method, and the numbers that were fitted. */
export type ScalerValues = { readonly method: string } & (
  | { readonly parameters: Float64Array }
  | { readonly knots: Float64Array; readonly values: Float64Array }
);

/** The scalers of all exits. */
export interface Scalers {
  readonly scalers: readonly ScalerValues[];
}

/** Anything with an origin. */
export interface Sourced {
  readonly exits: number;
  readonly classes: number;
  readonly origin?: Origin | undefined;
}

/** What a policy made on these samples remembers; undefined for scores computed elsewhere. */
export function policyOrigin({ exits, classes, origin }: Sourced): PolicyOrigin | undefined {
  return origin && { ...origin, exits, classes };
}

/** The origin after one more scaling. */
export function scaledOrigin(origin: Origin | undefined, scaling: Scalers): Origin | undefined {
  if (!origin) return undefined;
  const digest = scalingDigest(scaling);
  return { ...origin, scaling: origin.scaling === undefined ? digest : `${origin.scaling}+${digest}` };
}

/** Tells scalings apart: 64 bits of FNV-1a over methods and parameters, in hexadecimal. */
export function scalingDigest({ scalers }: Scalers): string {
  let hash = 0xcbf29ce484222325n;
  const add = (bytes: Uint8Array) => {
    for (const byte of bytes) hash = BigInt.asUintN(64, (hash ^ BigInt(byte)) * 0x100000001b3n);
  };
  for (const scaler of scalers) {
    add(new TextEncoder().encode(scaler.method));
    const values = "parameters" in scaler ? [scaler.parameters] : [scaler.knots, scaler.values];
    for (const each of values) add(new Uint8Array(Float64Array.from(each).buffer));
  }
  return hash.toString(16).padStart(16, "0");
}

/** How to go on where origins differ; what stands here is said behind the message. */
export interface OriginHints {
  readonly weights: string;
  readonly scaling: string;
}

/** For functions on tables. */
const TABLE_HINTS: OriginHints = {
  weights: "Use logits of the network that it was calibrated on, or say anyOrigin: true.",
  scaling: "Apply the scaling of the policy's file to the table, applyScaling(table, scaling), or say anyOrigin: true.",
};

/**
 * Refuses scores that a policy's promise says nothing about: of another number of exits or classes, of another network,
 * or scaled otherwise. What is not known of either passes.
 */
export function checkOrigin(
  op: string,
  policy: PolicyOrigin | undefined,
  used: Sourced,
  hints: OriginHints = TABLE_HINTS,
): void {
  if (!policy) return;
  if (policy.exits !== used.exits || policy.classes !== used.classes) {
    const size = ({ exits, classes }: Pick<Sourced, "exits" | "classes">) => `${exits} exits and ${classes} classes`;
    if (used.origin) fail(op, `the policy must be for ${size(used)}`, `one for ${size(policy)}`);
    if (policy.exits !== used.exits) fail(op, `the policy must be for ${used.exits} exits`, `one for ${policy.exits}`);
  }
  if (!used.origin) return;
  const { weights, scaling } = used.origin;
  if (policy.weights !== undefined && weights !== undefined && policy.weights !== weights) {
    const got = `one of ${short(policy.weights)}, not ${short(weights)}`;
    fail(op, "the policy must be of this network's weights", got, hints.weights);
  }
  if (policy.scaling === scaling) return;
  const wanted =
    policy.scaling === undefined
      ? "must not be scaled, as the policy's were not"
      : "must be scaled as the policy's were";
  const got =
    scaling === undefined ? "scores without scaling" : policy.scaling === undefined ? "scaled ones" : "another scaling";
  fail(op, `scores ${wanted}`, got, hints.scaling);
}

/** Two sets of one calibration: the same network, the same scaling. */
export function checkSameOrigin(op: string, a: Sourced, b: Sourced, names: readonly [string, string]): void {
  if (!a.origin || !b.origin) return;
  const both = `${names[0]} and ${names[1]} logits`;
  if (a.origin.weights !== undefined && b.origin.weights !== undefined && a.origin.weights !== b.origin.weights)
    fail(op, `${both} must be of one network`, `${short(a.origin.weights)} and ${short(b.origin.weights)}`);
  if (a.origin.scaling !== b.origin.scaling)
    fail(op, `${both} must be scaled alike`, `${a.origin.scaling ?? "none"} and ${b.origin.scaling ?? "none"}`);
}

const short = (digest: string): string => (digest.length > 12 ? `${digest.slice(0, 12)}...` : digest);
