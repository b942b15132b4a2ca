// Captures become a file (captures-form.ts), to be run elsewhere without what recorded them.

import { type Kinds, mapValues, what, writeWhole } from "../base/index.ts";
import { bindingsOf, featuresOf, shaderText } from "../kernels/index.ts";
import { type Place, Storage } from "./buffers.ts";
import { Capture } from "./capture.ts";
import {
  type BufferForm,
  type CaptureForm,
  type CapturesForm,
  type CopyForm,
  type DispatchForm,
  FORM,
  FORM_VERSION,
  type KernelForm,
  type RangeForm,
  type TensorForm,
  UNIFORMS,
} from "./captures-form.ts";
import type { Device } from "./device.ts";
import { ArgumentError, CaptureError, readOptions } from "./errors.ts";
import type { Program } from "./pipelines.ts";
import { encodeSafetensors, type SafetensorsFile, type StoredTensor } from "./safetensors.ts";
import { checkDevice, checkTensor, Tensor } from "./tensor.ts";
import { type Placed, uniformBytes, writeUniforms } from "./work.ts";

/** Any capture. */
export type AnyCapture = Capture<object, object, unknown>;

/** What is written besides the captures. */
export interface CapturesOptions {
  /** Tensors that they share, to be found under these names: what is written before a run, or read behind it. */
  readonly tensors?: Readonly<Record<string, Tensor>>;
  /** Kept as it is; the key `captures` is the file's own. */
  readonly metadata?: Readonly<Record<string, string>>;
}

const OPTIONS: Kinds<CapturesOptions> = { tensors: "any", metadata: "any" };

/**
 * The bytes of a file of captures, which `loadCaptures` runs without the code that recorded them: no op, no kernel, no
 * tape. The texts are those of the device at hand; made on one of `createPortableDevice()` they run
 * anywhere. What the captures read from outside is in the file as it is now.
 *
 * Outputs are found again where the step returns tensors by name, or one tensor, which is then `output`. A training
 * step must end by `zeroGrad()`.
 * @throws CaptureError for captures of several devices, for steps that leave gradients at leaves, and for outputs that
 * lie deeper
 *
 * @example
 * ```ts
 * import { capture, encodeCaptures, loadCaptures, mul, tensor } from "sortie/engine";
 *
 * const weight = tensor([10, 100]);
 * const step = await capture({ inputs: { x: { shape: [2], dtype: "f32" } } }, ({ x }) => mul(x, weight));
 * const file = await encodeCaptures({ step });
 * const stored = await loadCaptures(file); // elsewhere, without the engine's ops
 * const { output } = stored.captures.step.run({ x: [1, 2] });
 * console.log(await output.read()); // Float32Array(2) [10, 200]
 * stored.dispose();
 * step.dispose();
 * ```
 */
export async function encodeCaptures(
  captures: Readonly<Record<string, AnyCapture>>,
  options: CapturesOptions = {},
): Promise<Uint8Array<ArrayBuffer>> {
  const { tensors, metadata } = await describeCaptures(captures, options);
  return encodeSafetensors(tensors, metadata);
}

/** What such a file holds, for those who write it with more. @throws CaptureError as `encodeCaptures` does */
export async function describeCaptures(
  captures: Readonly<Record<string, AnyCapture>>,
  options: CapturesOptions = {},
): Promise<Pick<SafetensorsFile, "tensors" | "metadata">> {
  const { tensors = {}, metadata = {} } = readOptions("encodeCaptures", options, OPTIONS);
  const device = deviceOf(captures, tensors);
  const kernels = new Kernels();
  const uniforms = new Uniforms();
  device.stream.flush();
  const memory = new Memory(device);
  for (const capture of Object.values(captures)) memory.seeCapture(capture);
  for (const { storage } of Object.values(tensors)) memory.seeTensor(storage, true);
  const { buffers, held } = await memory.read();
  const form: CapturesForm = {
    version: FORM_VERSION,
    captures: mapValues(captures, (capture) => captureForm(capture, { kernels, uniforms, memory })),
    tensors: mapValues(tensors, (tensor) => memory.tensor(tensor)),
    buffers,
    ...kernels.forms(device),
  };
  const words = uniforms.words;
  held.push([UNIFORMS, { dtype: "U32", shape: [words.length], data: words }]);
  return { tensors: new Map(held), metadata: { ...metadata, [FORM]: JSON.stringify(form) } };
}

/** Writes that file (Node), whole or not at all. @throws CaptureError as `encodeCaptures` does */
export async function saveCaptures(
  path: string,
  captures: Readonly<Record<string, AnyCapture>>,
  options: CapturesOptions = {},
): Promise<void> {
  await writeWhole(path, await encodeCaptures(captures, options));
}

/** The device of all of them. @throws ArgumentError, CaptureError */
function deviceOf(captures: Readonly<Record<string, AnyCapture>>, tensors: Readonly<Record<string, Tensor>>): Device {
  const all = Object.entries(captures).map(([name, capture]) => {
    if (capture instanceof Capture) return capture.parts.device;
    throw new ArgumentError(`encodeCaptures: ${name} must be a capture; got ${what(capture)}.`);
  });
  const [device] = all;
  if (!device) throw new ArgumentError("encodeCaptures: there must be a capture; got none.");
  if (all.some((one) => one !== device))
    throw new CaptureError("encodeCaptures: all captures must be of one device; got some of two.");
  for (const [name, tensor] of Object.entries(tensors)) {
    checkTensor("encodeCaptures", `tensor ${name}`, tensor);
    checkDevice("encodeCaptures", tensor, device);
  }
  return device;
}

/** The tensors that a capture returns, by name. @throws CaptureError for others, which nobody would find again */
function outputsOf({ parts: { name, outputs, own } }: AnyCapture): Readonly<Record<string, Tensor>> {
  if (outputs instanceof Tensor) return { output: outputs };
  const named = Object.entries(outputs ?? {}).filter((entry): entry is [string, Tensor] => entry[1] instanceof Tensor);
  const found = named.map(([, tensor]) => tensor);
  if (own.every((tensor) => found.includes(tensor))) return Object.fromEntries(named);
  throw new CaptureError(`encodeCaptures: ${name} must return tensors by name; it returns some that lie deeper.`);
}

interface Parts {
  readonly kernels: Kernels;
  readonly uniforms: Uniforms;
  readonly memory: Memory;
}

function captureForm(capture: AnyCapture, { kernels, uniforms, memory }: Parts): CaptureForm {
  const { name, replay, slots } = capture.parts;
  const { steps, indirect } = replay.laidOut;
  const work = steps.map(({ work, memory: placed }): DispatchForm | CopyForm => {
    const ranges = placed.map((one) => memory.range(one));
    if (work.kind === "copy") return { from: ranges[0]!, to: ranges[1]!, bytes: work.bytes };
    const args = indirect.get(work);
    return {
      ...{ op: work.op, kernel: kernels.number(work.program), memory: ranges, grid: work.grid },
      uniforms: uniforms.add(work.program, work.uniforms),
      ...(args && { indirect: memory.place(args) }),
    };
  });
  const { inputs, scalars, values } = slots;
  return {
    ...{ label: name, work, inputs: mapValues(inputs, (tensor) => memory.tensor(tensor)) },
    scalars: Object.fromEntries(
      Object.entries(scalars).map(([name, tensor]) => [
        name,
        { ...memory.tensor(tensor), value: String(values[name]) },
      ]),
    ),
    outputs: mapValues(outputsOf(capture), (tensor) => memory.tensor(tensor)),
  };
}

/** Texts, each once. */
class Kernels {
  readonly #all = new Map<Program, number>();

  number(program: Program): number {
    const known = this.#all.get(program);
    if (known !== undefined) return known;
    this.#all.set(program, this.#all.size);
    return this.#all.size - 1;
  }

  forms({ info }: Device): Pick<CapturesForm, "kernels" | "subgroupSize"> {
    const kernels = [...this.#all.keys()].map(
      ({ key, kernel, spec }): KernelForm => ({
        name: key,
        features: featuresOf(shaderText(kernel, spec)),
        uniforms: Object.entries(kernel.uniforms),
        bindings: bindingsOf(kernel, spec).map(({ name, access, type }) => [name, access, type]),
        source: kernel.source(spec),
      }),
    );
    const isBound = kernels.some(({ features }) => features.includes("subgroups"));
    return { kernels, ...(isBound && { subgroupSize: info.subgroupSize }) };
  }
}

/** Uniforms of all dispatches, as their bits. */
class Uniforms {
  readonly #words: number[] = [];

  add(program: Program, values: readonly number[]): number {
    const view = new DataView(new ArrayBuffer(uniformBytes(program)));
    writeUniforms(view, 0, program, values);
    const first = this.#words.length;
    for (let i = 0; i < values.length; i++) this.#words.push(view.getUint32(4 * i, true));
    return first;
  }

  get words(): Uint32Array<ArrayBuffer> {
    return Uint32Array.from(this.#words);
  }
}

interface Span {
  readonly number: number;
  low: number;
  high: number;
  /** What of it is given, from and to; nothing else of it is anybody's business. */
  readonly meant: (readonly [from: number, to: number])[];
}

/** Bindings may begin there. */
const ALIGN = 256;

/** Buffers, as far as they are used. */
class Memory {
  readonly #device: Device;
  readonly #spans = new Map<GPUBuffer, Span>();

  constructor(device: Device) {
    this.#device = device;
  }

  /** All memory of a capture. What is written by each run anew, its slots, is not given. @throws CaptureError */
  seeCapture(capture: AnyCapture): void {
    const { name, replay, slots } = capture.parts;
    const { steps, indirect, isGiven, left } = replay.laidOut;
    if (left > 0) {
      const hint = "Call zeroGrad() at the end of the step.";
      throw new CaptureError(`encodeCaptures: ${name} must leave no gradients at leaves; it does. ${hint}`);
    }
    const fed = new Set(
      [...Object.values(slots.inputs), ...Object.values(slots.scalars)].map(({ storage }) => storage),
    );
    for (const { memory } of steps)
      for (const placed of memory) this.see(placed, isGiven(placed) && !fed.has(placed as Storage));
    for (const place of indirect.values()) this.see({ place, bytes: INDIRECT_BYTES }, false);
    for (const storage of fed) this.see(storage, false);
    for (const { storage } of Object.values(outputsOf(capture))) this.seeTensor(storage, isGiven(storage));
  }

  /** A tensor's memory, which it may not have yet. */
  seeTensor(storage: Storage, isGiven: boolean): void {
    this.#device.stream.place(storage);
    this.see(storage, isGiven);
  }

  see(placed: Placed, isGiven: boolean): void {
    const { place, bytes } = placed;
    const { buffer, offset } = place;
    const span = this.#spanOf(buffer, offset);
    span.low = Math.min(span.low, Math.floor(offset / ALIGN) * ALIGN);
    span.high = Math.max(span.high, offset + bytes);
    if (!isGiven) return;
    span.meant.push([offset, offset + (placed instanceof Storage ? placed.meant : bytes)]);
  }

  #spanOf(buffer: GPUBuffer, offset: number): Span {
    const known = this.#spans.get(buffer);
    if (known) return known;
    const span: Span = { number: this.#spans.size, low: offset, high: offset, meant: [] };
    this.#spans.set(buffer, span);
    return span;
  }

  place({ buffer, offset }: Place): readonly [buffer: number, offset: number] {
    const { number, low } = this.#spanOf(buffer, offset);
    return [number, offset - low];
  }

  range({ place, bytes }: Placed): RangeForm {
    return [...this.place(place), bytes];
  }

  tensor({ storage, shape, dtype }: Tensor): TensorForm {
    return { at: this.range(storage), shape, dtype };
  }

  /** The buffers, and what lies in those that are given. */
  async read(): Promise<{ readonly buffers: BufferForm[]; readonly held: [string, StoredTensor][] }> {
    const spans = [...this.#spans];
    const given = spans.filter(([, { meant }]) => meant.length > 0);
    const items = given.map(([buffer, { low, high }]) => {
      const storage = new Storage(high - low);
      storage.putAt({ buffer, offset: low }, () => {});
      return { storage, bytes: high - low };
    });
    const read = await this.#device.readBytes(items);
    const held: [string, StoredTensor][] = [];
    const contents = new Map(given.map(([buffer, span], i) => [buffer, meantOf(new Uint8Array(read[i]!), span)]));
    const buffers = spans.map(([buffer, { number, low, high }]): BufferForm => {
      const bytes = high - low;
      const data = contents.get(buffer);
      if (!data) return { bytes, holds: "any" };
      if (data.every((word) => word === 0)) return { bytes, holds: "zeros" };
      held.push([String(number), { dtype: "U32", shape: [data.length], data }]);
      return { bytes, holds: "tensor" };
    });
    return { buffers, held };
  }
}

/** What is meant of what was read, zeros elsewhere. */
function meantOf(read: Uint8Array, { low, high, meant }: Span): Uint32Array<ArrayBuffer> {
  const bytes = new Uint8Array(4 * Math.ceil((high - low) / 4));
  for (const [from, to] of meant) bytes.set(read.subarray(from - low, to - low), from - low);
  return new Uint32Array(bytes.buffer);
}

/** Of the arguments of an indirect dispatch. */
const INDIRECT_BYTES = 12;
