// PyTorch state dicts in and out: torchvision's and timm's names and layouts against ours.
// Names: runningMean is running_mean, and so on. Layouts: convolutions OIHW there, HWIO here; linear [out, in] there.

import { FormatError, numel, type StoredTensor } from "../engine/functions.ts";
import type { LoadReport, Module } from "./module.ts";

/** A tensor on the host. */
export interface HostTensor {
  readonly shape: readonly number[];
  readonly data: ArrayLike<number>;
}

/** Names in the file that stand for other names here, as [pattern, replacement]; tried in order on the snake_case name. */
export type Renames = readonly (readonly [RegExp, string])[];

/** torchvision calls a block's projection `downsample`. */
export const TORCHVISION: Renames = [[/\bdownsample\./, "shortcut."]];

const camel = (name: string): string => name.replace(/_([a-z])/g, (_, letter: string) => letter.toUpperCase());
const snake = (name: string): string => name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);

/** Transposes host data by `order` (output axis i is input axis order[i]). */
export function permuteHost({ shape, data }: HostTensor, order: readonly number[]): HostTensor {
  const strides = shape.map((_, i) => numel(shape.slice(i + 1)));
  const out = order.map((axis) => shape[axis] as number);
  const steps = order.map((axis) => strides[axis] as number);
  const result = new Float32Array(data.length);
  const at = new Array<number>(out.length).fill(0);
  let source = 0;
  for (let i = 0; i < result.length; i++) {
    result[i] = data[source] as number;
    for (let axis = out.length - 1; axis >= 0; axis--) {
      at[axis] = (at[axis] as number) + 1;
      source += steps[axis] as number;
      if ((at[axis] as number) < (out[axis] as number)) break;
      source -= (steps[axis] as number) * (out[axis] as number);
      at[axis] = 0;
    }
  }
  return { shape: out, data: result };
}

/** From PyTorch's layout to ours: by the rank, since only products have weights of two or four axes. */
const toOurs = (name: string, tensor: HostTensor): HostTensor => {
  if (!name.endsWith("weight")) return tensor;
  if (tensor.shape.length === 4) return permuteHost(tensor, [2, 3, 1, 0]);
  return tensor.shape.length === 2 ? permuteHost(tensor, [1, 0]) : tensor;
};

/** From our layout to PyTorch's. */
export const toTorch = (name: string, tensor: HostTensor): HostTensor => {
  if (!name.endsWith("weight")) return tensor;
  if (tensor.shape.length === 4) return permuteHost(tensor, [3, 2, 0, 1]);
  return tensor.shape.length === 2 ? permuteHost(tensor, [1, 0]) : tensor;
};

/** Our name of a tensor that PyTorch calls `name`. */
export const fromTorchName = (name: string, renames: Renames = []): string =>
  camel(renames.reduce((text, [pattern, replacement]) => text.replace(pattern, replacement), name));

/** PyTorch's name of a tensor of ours (before any renames). */
export const toTorchName = snake;

/**
 * Loads a PyTorch state dict by name. Counters (`num_batches_tracked`) are skipped. With `strict` (the default) missing and
 * unexpected names are an error; otherwise they are reported, in our names.
 */
export function loadTorch(
  module: Module,
  tensors: ReadonlyMap<string, StoredTensor>,
  { strict = true, renames = TORCHVISION }: { readonly strict?: boolean; readonly renames?: Renames } = {},
): LoadReport {
  const state = new Map<string, HostTensor>();
  for (const [name, { shape, data }] of tensors) {
    if (name.endsWith("num_batches_tracked")) continue;
    if (data instanceof BigInt64Array)
      throw new FormatError(`loadTorch: weights must be numbers; got 64-bit integers for ${name}.`);
    const ours = fromTorchName(name, renames);
    state.set(ours, toOurs(ours, { shape, data }));
  }
  return module.loadState(state, { strict });
}
