// Captures from a file (captures-form.ts): their memory is filled, their texts compiled, and they run as those that
// were recorded here. Nothing of what recorded them is loaded.

import { type Kinds, mapValues } from "../base/index.ts";
import type { Kernel } from "../kernels/index.ts";
import { type Place, Storage } from "./buffers.ts";
import { Capture } from "./capture.ts";
import {
  type BufferForm,
  type CaptureForm,
  type CapturesForm,
  type DispatchForm,
  FORM,
  formOf,
  type KernelForm,
  type RangeForm,
  type TensorForm,
  UNIFORMS,
} from "./captures-form.ts";
import { compileAll } from "./compile.ts";
import { type Device, deviceOr } from "./device.ts";
import { DeviceError, FormatError, readOptions } from "./errors.ts";
import { sliceOf } from "./parts.ts";
import type { Program } from "./pipelines.ts";
import { PrivateMemory } from "./private-memory.ts";
import { Replay } from "./replay.ts";
import type { SafetensorsFile } from "./safetensors.ts";
import { type ReadOptions, readSafetensors, type SafetensorsSource } from "./safetensors-io.ts";
import { keep } from "./scope.ts";
import type { Described } from "./shape.ts";
import { Slots } from "./slots.ts";
import { Tensor } from "./tensor.ts";
import type { Work } from "./work.ts";

/** A capture of a file: inputs and outputs by the names that it was written with. */
export type StoredCapture = Capture<
  Readonly<Record<string, Described>>,
  Readonly<Record<string, number>>,
  Readonly<Record<string, Tensor>>
>;

/** What a file of captures holds. */
export interface StoredCaptures extends Disposable {
  readonly captures: Readonly<Record<string, StoredCapture>>;
  /** The tensors that they share. */
  readonly tensors: Readonly<Record<string, Tensor>>;
  readonly metadata: Readonly<Record<string, string>>;
  /** Frees all of it. */
  dispose(): void;
}

/** Options of `loadCaptures`. */
export interface LoadCapturesOptions extends ReadOptions {
  readonly device?: Device;
}

const OPTIONS: Kinds<LoadCapturesOptions> = { device: "any", onProgress: "function" };

/**
 * Reads a file that `encodeCaptures` made. It must come from whom you trust, as a script must: its texts run as they
 * are. Its captures share their memory, which goes with the last of them: `bytes` of each is 0.
 * @throws FormatError for another file, or a newer one; DeviceError where the device lacks what its texts need
 */
export async function loadCaptures(
  source: SafetensorsSource,
  options: LoadCapturesOptions = {},
): Promise<StoredCaptures> {
  const { device: given, ...read } = readOptions("loadCaptures", options, OPTIONS);
  return openCaptures(await readSafetensors(source, read), deviceOr("loadCaptures", given));
}

/** The same of a file that was read. @throws FormatError, DeviceError */
export async function openCaptures(file: SafetensorsFile, device: Device): Promise<StoredCaptures> {
  device.check("loadCaptures");
  const form = formOf(file.metadata);
  checkFeatures(form, device);
  const programs = form.kernels.map((kernel) => device.pipelines.stored(kernelOf(kernel)));
  await compileAll(device, programs);
  const roots: Storage[] = [];
  const owned: { dispose(): void }[] = [];
  let memory: Ranges | undefined;
  try {
    for (const [i, buffer] of form.buffers.entries()) roots.push(filled(buffer, file, i, device));
    const uniforms = wordsOf(file, UNIFORMS, lastUniform(form));
    const ranges = new Ranges(roots);
    memory = ranges;
    const tensorOf = ({ at, shape, dtype }: TensorForm): Tensor =>
      keep(new Tensor(device, ranges.take(at), shape, dtype));
    const captures = mapValues(form.captures, (capture) => {
      const made = captureOf(capture, { device, programs, uniforms, memory: ranges, tensorOf });
      owned.push(made);
      return made;
    });
    const tensors = mapValues(form.tensors, tensorOf);
    owned.push(...Object.values(tensors));
    const { [FORM]: _, ...metadata } = file.metadata;
    const dispose = (): void => {
      for (const one of owned.splice(0)) one.dispose();
    };
    return { captures, tensors, metadata, dispose, [Symbol.dispose]: dispose };
  } catch (error) {
    for (const one of owned) one.dispose();
    throw error;
  } finally {
    memory?.release();
    for (const root of roots) root.release();
  }
}

/** How many uniforms there must be. */
const lastUniform = ({ captures, kernels }: CapturesForm): number =>
  Math.max(
    0,
    ...Object.values(captures).flatMap(({ work }) =>
      work.map((one) => ("from" in one ? 0 : one.uniforms + kernels[one.kernel]!.uniforms.length)),
    ),
  );

function checkFeatures({ kernels, subgroupSize }: CapturesForm, { info }: Device): void {
  const has = { f16: info.hasF16, subgroups: info.hasSubgroups };
  const missing = kernels.flatMap(({ features }) => features).find((feature) => !has[feature]);
  const hint = "Write the captures on a device of createPortableDevice().";
  if (missing) throw new DeviceError(`loadCaptures: the adapter must have ${missing}; it has not. ${hint}`);
  if (subgroupSize === undefined || subgroupSize === info.subgroupSize) return;
  throw new DeviceError(
    `loadCaptures: the adapter's subgroups must have ${subgroupSize} lanes; they have ${info.subgroupSize}. ${hint}`,
  );
}

const kernelOf = ({ name, uniforms, bindings, source }: KernelForm): Kernel => ({
  name,
  uniforms: Object.fromEntries(uniforms),
  bindings: () => Object.fromEntries(bindings.map(([name, access, type]) => [name, { access, type }])),
  source: () => source,
  grid: () => [0, 0, 0],
});

/** Memory with what the file says of it. @throws FormatError, DeviceError */
function filled({ bytes, holds }: BufferForm, file: SafetensorsFile, i: number, device: Device): Storage {
  device.pool.check(bytes, `buffer ${i} of the captures`);
  const words = Math.ceil(bytes / 4);
  const held = holds === "tensor" ? wordsOf(file, String(i), words) : undefined;
  const storage = new Storage(bytes);
  device.stream.place(storage);
  if (held) device.stream.write(storage, held);
  if (holds === "zeros") device.stream.write(storage, new Uint32Array(words));
  return storage;
}

function wordsOf({ tensors }: SafetensorsFile, name: string, least: number): Uint32Array<ArrayBuffer> {
  const found = tensors.get(name);
  if (found?.dtype === "U32" && found.data.length >= least) return found.data as Uint32Array<ArrayBuffer>;
  throw new FormatError(`loadCaptures: the file must be whole; it lacks tensor ${name} of ${least} numbers in u32.`);
}

/** Parts of the buffers, each a storage of its own. */
class Ranges {
  readonly #roots: readonly Storage[];
  readonly #parts = new Map<string, Storage>();

  constructor(roots: readonly Storage[]) {
    this.#roots = roots;
  }

  /** One more reference to that part. */
  take(range: RangeForm): Storage {
    const key = range.join();
    let part = this.#parts.get(key);
    if (!part) {
      const [root, offset, bytes] = range;
      part = sliceOf(this.#roots[root]!, offset, bytes);
      this.#parts.set(key, part);
    }
    return part.retain();
  }

  place([root, offset]: readonly [buffer: number, offset: number]): Place {
    const { buffer, offset: base } = this.#roots[root]!.place;
    return { buffer, offset: base + offset };
  }

  release(): void {
    for (const part of this.#parts.values()) part.release();
    this.#parts.clear();
  }
}

interface Parts {
  readonly device: Device;
  readonly programs: readonly Program[];
  readonly uniforms: Uint32Array<ArrayBuffer>;
  readonly memory: Ranges;
  tensorOf(form: TensorForm): Tensor;
}

function captureOf(form: CaptureForm, parts: Parts): StoredCapture {
  const { device, memory, tensorOf } = parts;
  const name = form.label;
  const indirect = new Map<Work, Place>();
  const work = form.work.map((one): Work => {
    if ("from" in one) return { kind: "copy", from: memory.take(one.from), to: memory.take(one.to), bytes: one.bytes };
    const dispatch = dispatchOf(one, parts);
    if (one.indirect) indirect.set(dispatch, memory.place(one.indirect));
    return dispatch;
  });
  const inputs = mapValues(form.inputs, tensorOf);
  const scalars = mapValues(form.scalars, tensorOf);
  const outputs = mapValues(form.outputs, tensorOf);
  const values = mapValues(form.scalars, ({ value }) => Number(value));
  const replay = new Replay(device, {
    ...{ name, work, indirect, held: [], operands: [], left: [], owner: form, isGraphAlive: false },
    memory: new PrivateMemory(device.pool),
  });
  const slots = new Slots({ device, name }, inputs, scalars, values);
  const own = Object.values(outputs);
  const all = [...Object.values(inputs), ...Object.values(scalars), ...own];
  return new Capture({ device, name, replay, slots, outputs, own, all });
}

function dispatchOf({ op, kernel, memory: ranges, uniforms: first, grid }: DispatchForm, parts: Parts): Work {
  const { programs, uniforms, memory } = parts;
  const program = programs[kernel]!;
  const bits = new DataView(uniforms.buffer, uniforms.byteOffset);
  const values = Object.values(program.kernel.uniforms).map((type, i) => {
    const at = 4 * (first + i);
    if (type === "f32") return bits.getFloat32(at, true);
    return type === "i32" ? bits.getInt32(at, true) : bits.getUint32(at, true);
  });
  const storages = ranges.map((range) => memory.take(range));
  return { kind: "dispatch", op, program, storages, uniforms: values, grid, rows: undefined };
}
