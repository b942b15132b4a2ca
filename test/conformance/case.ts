// A conformance case: what a file says, and what the maps from op names to functions agree on.

import { existsSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { readSafetensors, type StoredTensor } from "../../engine/index.ts";

/** One named tensor of a case. Scalars have shape `[]`. */
export interface CaseTensor {
  readonly dtype: "F32" | "I32" | "U8" | "F64";
  readonly shape: number[];
  readonly data: Float32Array | Int32Array | Uint8Array | Float64Array;
}

export type CaseTensors = Record<string, CaseTensor>;
export type CaseAttrs = Record<string, unknown>;

/** Inputs without the "in." prefix to outputs without "out.". */
export type CaseFunction = (inputs: CaseTensors, attrs: CaseAttrs) => CaseTensors;

/** How far a value may be from the expected one. */
export interface Tolerance {
  readonly rtol: number;
  readonly atol: number;
}

/** A case file. Tensors go by their full names: `in.x`, `out.y`, `cotangent.y`, `grad.x`. */
export interface Case extends Tolerance {
  readonly name: string;
  readonly kind: string;
  readonly op: string;
  readonly attrs: CaseAttrs;
  readonly tags: readonly string[];
  readonly tolerances: Readonly<Record<string, Tolerance>>;
  /** Path of the weights file, where there is one. */
  readonly weights: string | undefined;
  readonly tensors: CaseTensors;
}

/** Values by full name (`out.y`, `grad.x`) for a case. */
export type CaseRunner = (one: Case) => Promise<CaseTensors>;

/** The tensors of a case under a prefix, without it: `tensorsOf(one, "in")`. */
export function tensorsOf(one: Case, prefix: "in" | "out" | "cotangent" | "grad"): CaseTensors {
  const start = `${prefix}.`;
  const found = Object.entries(one.tensors).filter(([name]) => name.startsWith(start));
  return Object.fromEntries(found.map(([name, tensor]) => [name.slice(start.length), tensor]));
}

/** The same tensors under `prefix`: the way back from `tensorsOf`. */
export function prefixed(prefix: "out" | "grad", tensors: CaseTensors): CaseTensors {
  return Object.fromEntries(Object.entries(tensors).map(([name, tensor]) => [`${prefix}.${name}`, tensor]));
}

/** Reads a case file; `name` is what it is called in reports. */
export async function readCase(path: string, name: string): Promise<Case> {
  const { tensors, metadata } = await readSafetensors(path);
  if (metadata["case"] === undefined) throw new Error("the file has no `case` in its metadata");
  const head = parsed(metadata["case"]) as Omit<Case, "name" | "tensors">;
  return {
    ...head,
    name,
    tags: head.tags ?? [],
    tolerances: head.tolerances ?? {},
    weights: head.weights === undefined ? undefined : findWeights(path, head.weights),
    tensors: Object.fromEntries([...tensors].map(([key, tensor]) => [key, toCaseTensor(key, tensor)])),
  };
}

/** JSON as Python writes it: infinities and NaN stand in it bare. Behind a string they are left as they are. */
function parsed(text: string): unknown {
  const quoted = text.replace(/"(?:[^"\\]|\\.)*"|-?\bInfinity\b|\bNaN\b/g, (part) =>
    part.startsWith('"') ? part : `"${NUMBER}${part}"`,
  );
  return JSON.parse(quoted, (_, value: unknown) =>
    typeof value === "string" && value.startsWith(NUMBER) ? Number(value.slice(NUMBER.length)) : value,
  );
}

/** Marks a number that JSON has not. */
const NUMBER = "number:";

function toCaseTensor(name: string, { dtype, shape, data }: StoredTensor): CaseTensor {
  if (dtype === "F32" || dtype === "I32" || dtype === "U8" || dtype === "F64")
    return { dtype, shape: [...shape], data };
  throw new Error(`${name} has dtype ${dtype}, which no case has`);
}

/** Weights are named relative to the folder of all cases, which is some folder above the case. */
function findWeights(file: string, weights: string): string {
  for (let folder = dirname(file); folder !== dirname(folder); folder = dirname(folder)) {
    if (existsSync(join(folder, weights))) return join(folder, weights);
  }
  const beside = join(dirname(file), basename(weights));
  if (existsSync(beside)) return beside;
  throw new Error(`its weights ${weights} are in no folder above it, nor beside it`);
}
