// What cases of networks have in common: inputs by name, PyTorch's weights, and tensors of ours under its names.

import { noGrad, readSafetensors, type StoredTensor, type Tensor } from "../../engine/index.ts";
import { toTorch } from "../../nn/index.ts";
import type { Case, CaseTensor, CaseTensors } from "./case.ts";
import { toHost } from "./engine.ts";

/** [H, W, C] */
export type Size = readonly [number, number, number];

/** An input of the case. @throws Error where it has none of that name */
export const get = (one: Case, name: string): CaseTensor => {
  const found = one.tensors[`in.${name}`];
  if (!found) throw new Error(`the case has no input ${name}`);
  return found;
};

/** The state dict that the case names. @throws Error where it names none */
export async function weightsOf(one: Case): Promise<Map<string, StoredTensor>> {
  if (one.weights === undefined) throw new Error("the case names no weights");
  return (await readSafetensors(one.weights)).tensors;
}

/** Host tensors of ours under PyTorch's names and in its layouts. */
export function inTorch(prefix: string, tensors: CaseTensors, rename: (name: string) => string): CaseTensors {
  return Object.fromEntries(
    Object.entries(tensors).map(([name, { shape, data }]) => {
      const there = toTorch(name, { shape, data });
      return [
        `${prefix}${rename(name)}`,
        { dtype: "F32", shape: [...there.shape], data: Float32Array.from(there.data) },
      ];
    }),
  );
}

/** What is computed without gradients, on the host. */
export const noGradHost = (fn: () => Record<string, Tensor>): Promise<CaseTensors> => toHost(noGrad(fn));
