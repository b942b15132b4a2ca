// The form of a file of captures: what they dispatch, with which texts, on which memory, and what lies there. It is a
// safetensors file whose tensors are the memory, and whose metadata says the rest. save-captures.ts writes it,
// load-captures.ts reads it.

import { messageOf } from "../base/index.ts";
import type { KernelFeature, UniformType } from "../kernels/index.ts";
import type { DType } from "./dtype.ts";
import { FormatError } from "./errors.ts";
import type { Shape } from "./shape.ts";

/** The metadata's key, and what the file calls itself there. */
export const FORM = "captures";
/** Raised when a reader of the version before could no longer run what the file means. */
export const FORM_VERSION = 1;
/** The tensor with the uniforms of all dispatches, u32. */
export const UNIFORMS = "uniforms";

/** A part of a buffer: its number, and bytes. */
export type RangeForm = readonly [buffer: number, offset: number, bytes: number];

/** A text, and how it is launched. */
export interface KernelForm {
  readonly name: string;
  readonly features: readonly KernelFeature[];
  readonly uniforms: readonly (readonly [name: string, type: UniformType])[];
  readonly bindings: readonly (readonly [name: string, access: "read" | "write" | "update", type: string])[];
  /** Without what the declarations of uniforms and bindings say. */
  readonly source: string;
}

/** Memory. tensor: what the file's tensor of its number holds; zeros; any: it is written before it is read. */
export interface BufferForm {
  readonly bytes: number;
  readonly holds: "tensor" | "zeros" | "any";
}

export interface DispatchForm {
  readonly op: string;
  readonly kernel: number;
  readonly memory: readonly RangeForm[];
  /** First word among the uniforms. */
  readonly uniforms: number;
  readonly grid: readonly [number, number, number];
  /** Where the GPU finds the grid instead. */
  readonly indirect?: readonly [buffer: number, offset: number];
}

export interface CopyForm {
  readonly from: RangeForm;
  readonly to: RangeForm;
  readonly bytes: number;
}

export interface TensorForm {
  readonly at: RangeForm;
  readonly shape: Shape;
  readonly dtype: DType;
}

export interface CaptureForm {
  /** For messages. */
  readonly label: string;
  readonly work: readonly (DispatchForm | CopyForm)[];
  readonly inputs: Readonly<Record<string, TensorForm>>;
  readonly scalars: Readonly<Record<string, TensorForm & { readonly value: string }>>;
  readonly outputs: Readonly<Record<string, TensorForm>>;
}

export interface CapturesForm {
  readonly version: number;
  /** Lanes of a subgroup, where a text depends on them. */
  readonly subgroupSize?: number;
  readonly kernels: readonly KernelForm[];
  readonly buffers: readonly BufferForm[];
  readonly captures: Readonly<Record<string, CaptureForm>>;
  readonly tensors: Readonly<Record<string, TensorForm>>;
}

/** What a file's metadata says of captures. @throws FormatError for another file, a newer or a damaged one */
export function formOf(metadata: Readonly<Record<string, string>>): CapturesForm {
  const text = metadata[FORM];
  if (text === undefined)
    throw new FormatError("loadCaptures: the file must hold captures, as encodeCaptures writes them; it holds none.");
  let form: CapturesForm;
  try {
    form = JSON.parse(text) as CapturesForm;
    if (form.version === FORM_VERSION) checkNumbers(form);
  } catch (cause) {
    throw new FormatError(`loadCaptures: the file must be whole; it is not: ${messageOf(cause)}`, { cause });
  }
  if (form.version === FORM_VERSION) return form;
  throw new FormatError(
    `loadCaptures: the file must be of version ${FORM_VERSION}; got ${form.version}. Use a newer sortie, or write it anew.`,
  );
}

/** Everything that is named by number must be there. @throws FormatError for what is not */
function checkNumbers({ kernels, buffers, captures, tensors }: CapturesForm): void {
  const checkRange = ([buffer, offset, bytes]: RangeForm): void => {
    const fits = offset % 256 === 0 && offset >= 0 && bytes >= 0 && offset + bytes <= (buffers[buffer]?.bytes ?? -1);
    if (!fits) throw new FormatError(`bytes ${offset} to ${offset + bytes} of buffer ${buffer} are not there`);
  };
  const named = [
    tensors,
    ...Object.values(captures).flatMap(({ inputs, scalars, outputs }) => [inputs, scalars, outputs]),
  ];
  for (const { at } of named.flatMap((record) => Object.values<TensorForm>(record))) checkRange(at);
  for (const work of Object.values(captures).flatMap(({ work }) => work)) {
    if ("from" in work) {
      checkRange(work.from);
      checkRange(work.to);
      continue;
    }
    const { kernel, memory, indirect } = work;
    if (memory.length !== kernels[kernel]?.bindings.length) throw new FormatError(`kernel ${kernel} is not there`);
    memory.forEach(checkRange);
    if (indirect && indirect[1] + 12 > (buffers[indirect[0]]?.bytes ?? -1))
      throw new FormatError("a grid is not there");
  }
}
