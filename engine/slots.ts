// What a capture is fed with at each run, in memory of its own. All is checked and encoded before anything is written,
// and what lies in a slot that the same run overwrites is copied out of it first.

import { what } from "../base/index.ts";
import { Storage } from "./buffers.ts";
import { checkNumber } from "./capture-options.ts";
import type { Device } from "./device.ts";
import { CaptureError } from "./errors.ts";
import { checkData, encode, type HostData } from "./host-data.ts";
import { describe, sameShape } from "./shape.ts";
import { checkDevice, Tensor } from "./tensor.ts";
import { copyStorage } from "./work.ts";

type Tensors = Readonly<Record<string, Tensor>>;

/** Where a slot's bytes come from: the host, or another tensor's memory. */
interface Feed {
  readonly slot: Storage;
  readonly bytes: number;
  readonly from: Storage | ArrayBufferView<ArrayBuffer>;
}

/** What one run is fed with; what is `held`, copies and memory of others, is let go when it is encoded. */
export interface Feeds {
  readonly all: readonly Feed[];
  readonly held: readonly Storage[];
}

const feedOf = ({ storage, bytes }: Tensor, from: Feed["from"]): Feed => ({
  slot: storage,
  bytes: Math.ceil(bytes / 4) * 4,
  from,
});

export class Slots {
  readonly #device: Device;
  readonly #name: string;
  readonly inputs: Tensors;
  readonly scalars: Tensors;
  /** Of the scalars. */
  readonly values: Record<string, number>;
  #isDirty = true;

  /** @param values Of the scalars, until others are given. */
  constructor(
    { device, name }: { readonly device: Device; readonly name: string },
    inputs: Tensors,
    scalars: Tensors,
    values: Readonly<Record<string, number>>,
  ) {
    this.#device = device;
    this.#name = name;
    this.inputs = inputs;
    this.scalars = scalars;
    this.values = { ...values };
  }

  /**
   * What a run writes. @throws CaptureError, ArgumentError or DTypeError for what does not fit, before anything is
   * done.
   */
  take(inputs: Readonly<Record<string, unknown>>, scalars: Readonly<Record<string, unknown>>): Feeds {
    this.#checkNames("input", inputs, this.inputs, true);
    this.#checkNames("scalar", scalars, this.scalars, false);
    const given = Object.entries(this.inputs).flatMap(([name, slot]): Feed[] => {
      const from = this.#source(name, slot, inputs[name]);
      // The step may return an input, and be fed with it.
      return slot.bytes === 0 || from === slot.storage ? [] : [feedOf(slot, from)];
    });
    for (const name in scalars) if (scalars[name] !== undefined) checkNumber(this.#name, name, scalars[name]);
    return this.#apart([...this.#numbers(scalars), ...given]);
  }

  /** Writes what `take` found. */
  feed(encoder: GPUCommandEncoder, { all, held }: Feeds): void {
    const { stream, gpu } = this.#device;
    for (const { slot, bytes, from } of all) {
      if (from instanceof Storage) {
        stream.place(from);
        copyStorage(encoder, { from, to: slot, bytes });
      } else {
        const { buffer, offset } = slot.place;
        gpu.queue.writeBuffer(buffer, offset, from.buffer, from.byteOffset, from.byteLength);
      }
    }
    for (const storage of held) storage.release();
  }

  /**
   * The queue's writes go ahead of the run's copies, and these one after the other: what was overwritten by then is
   * read from a copy. What is fed may be a gradient that the run takes from its leaf, so that it is held until then.
   */
  #apart(feeds: readonly Feed[]): Feeds {
    const written = new Set(feeds.filter(({ from }) => !(from instanceof Storage)).map(({ slot }) => slot));
    const held: Storage[] = [];
    const all = feeds.map((feed) => {
      const { slot, bytes, from } = feed;
      const isLost = from instanceof Storage && written.has(from);
      written.add(slot);
      if (!(from instanceof Storage)) return feed;
      const read = isLost ? new Storage(from.bytes) : from.retain();
      if (isLost) this.#device.stream.push({ kind: "copy", from, to: read, bytes });
      held.push(read);
      return { slot, bytes, from: read };
    });
    return { all, held };
  }

  #source(input: string, slot: Tensor, value: unknown): Feed["from"] {
    const at = `${this.#name}: input ${input}`;
    if (value instanceof Tensor) {
      value.check(this.#name);
      checkDevice(this.#name, value, this.#device);
      if (sameShape(value.shape, slot.shape) && value.dtype === slot.dtype) return value.storage;
      throw new CaptureError(
        `${at} must be ${describe(slot)}, as recorded; got ${describe(value)}. Capture again for other shapes.`,
      );
    }
    checkData(at, value);
    if (value.length === slot.size) return encode(at, value as HostData, slot.dtype);
    throw new CaptureError(
      `${at} must have ${slot.size} elements for ${describe(slot)}, as recorded; got ${value.length}.`,
    );
  }

  #numbers(scalars: Readonly<Record<string, unknown>>): Feed[] {
    const feeds = Object.entries(this.scalars).flatMap(([name, slot]): Feed[] => {
      const value = (scalars[name] ?? this.values[name]) as number;
      if (Object.is(value, this.values[name]) && !this.#isDirty) return [];
      this.values[name] = value;
      return [feedOf(slot, Float32Array.of(value))];
    });
    this.#isDirty = false;
    return feeds;
  }

  #checkNames(kind: string, given: Readonly<Record<string, unknown>>, declared: Tensors, all: boolean): void {
    const name = this.#name;
    if (typeof given !== "object" || given === null)
      throw new CaptureError(`${name}: ${kind}s must be an object, by name; got ${what(given)}.`);
    const known = Object.keys(declared);
    const unknown = Object.keys(given).find((one) => !known.includes(one));
    if (unknown !== undefined)
      throw new CaptureError(`${name}: ${kind} names must be among [${known.join(", ")}]; got ${unknown}.`);
    const missing = known.find((one) => !(one in given));
    if (all && missing !== undefined)
      throw new CaptureError(`${name}: every ${kind} must be given; ${missing} is missing.`);
  }
}
