// Calls recorded with live rows, against the same calls run eagerly: memory holds NaN before the run, and so do the
// rows that do not count. An op may refuse such rows by name; what it accepts must be right.

import { CaptureError, capture, type Device, keep, read, scope, type Tensor, tensor } from "../../engine/index.ts";
import { drawn as draw, list, mulberry } from "./ops/check.ts";
import type { OpCase, Ref } from "./ops/row.ts";

/** What became of a call: refused with the message, or equal to the eager one. */
export type Verdict = "refused" | "equal";

type Named<T> = Readonly<Record<string, T>>;

/** A call, its operands in full, and which of them hold live rows. */
export interface LiveCall {
  readonly label: string;
  readonly inputs: Named<{ readonly value: Ref; readonly dtype: Tensor["dtype"] }>;
  readonly live: readonly string[];
  readonly call: OpCase["call"];
  /** Row counts to run at; default a few. */
  readonly counts?: readonly number[];
}

/** Fills all memory that is taken from the pool while `fn` runs with bits that are NaN to floats and -1 to integers. */
export async function poisoned<T>({ pool, gpu }: Device, fn: () => Promise<T>): Promise<T> {
  const take = pool.take.bind(pool);
  pool.take = (bytes) => {
    const buffer = take(bytes);
    gpu.queue.writeBuffer(buffer, 0, new Uint8Array(buffer.size).fill(0xff));
    return buffer;
  };
  try {
    return await fn();
  } finally {
    pool.take = take;
  }
}

/** Counts of interest up to `capacity`: none, one, all but one, all, and `more`. */
export const countsUpTo = (capacity: number, more: readonly number[] = [capacity >> 1]): number[] => {
  const all = [0, 1, capacity - 1, capacity, ...more].filter((n) => n >= 0 && n <= capacity);
  return [...new Set(all)].sort((a, b) => a - b);
};

/** Around the borders of tiles of rows. */
export const BORDERS = [4, 8, 16, 32, 64, 128].flatMap((tile) => [tile - 1, tile, tile + 1]);

/** The operands of an op table's case, drawn. */
export function drawn({ inputs }: OpCase, seed: number): LiveCall["inputs"] {
  const random = mulberry(seed);
  const entries = Object.entries(inputs).map(([name, spec]) => {
    return [name, { value: draw(spec, random), dtype: spec.dtype ?? "f32" }] as const;
  });
  return Object.fromEntries(entries);
}

/** The sets of operands that may hold live rows together: each alone, and all of one leading extent. */
export function liveSets(inputs: LiveCall["inputs"]): string[][] {
  const extents = new Map<number, string[]>();
  for (const [name, { value }] of Object.entries(inputs)) {
    const extent = value.shape[0];
    if (extent !== undefined && value.data.length > 0) extents.set(extent, [...(extents.get(extent) ?? []), name]);
  }
  return [...extents.values()].flatMap((names) =>
    names.length > 1 ? [names, ...names.map((name) => [name])] : [names],
  );
}

const isWhole = (dtype: Tensor["dtype"]): boolean => dtype === "i32" || dtype === "u32";

/** Values with those behind the first `kept` replaced by what no op may make use of. */
const spoilt = (data: Float64Array, kept: number, dtype: Tensor["dtype"]): Float64Array => {
  const waste = dtype === "bool" ? 1 : isWhole(dtype) ? 0x7fffff00 : Number.NaN;
  return data.map((value, i) => (i < kept ? value : waste));
};

function difference(got: ArrayLike<number>, want: ArrayLike<number>, length: number): string | undefined {
  for (let i = 0; i < length; i++) {
    if (!Object.is(got[i], want[i]) && got[i] !== want[i])
      return `element ${i} of ${length} is ${got[i]}, want ${want[i]}`;
  }
  return undefined;
}

/**
 * Runs a call with live rows at every count. Throws an Error that names the first element that differs from the eager
 * call.
 */
export async function runLive(device: Device, one: LiveCall): Promise<Verdict> {
  const { inputs, live, call, label } = one;
  const capacity = inputs[live[0] as string]?.value.shape[0] as number;
  const make = ({ value, dtype }: LiveCall["inputs"][string]) =>
    tensor(value.data, { shape: value.shape, dtype, device });
  const tensors = () => Object.fromEntries(Object.entries(inputs).map(([name, input]) => [name, make(input)]));
  const eager = scope(() => list(call(tensors())).slice());
  const wants = await read(eager);
  for (const made of eager) made.dispose();
  const given = scope(() => {
    const made = tensors();
    keep(made);
    return made;
  });
  const count = tensor(Uint32Array.of(capacity), { device });
  try {
    const declared = Object.fromEntries(
      live.map((name) => [name, { shape: inputs[name]?.value.shape ?? [], dtype: inputs[name]?.dtype ?? "f32" }]),
    );
    using captured = await poisoned(device, () =>
      capture({ inputs: declared, rows: count, state: Object.values(given), device }, (slots) =>
        list(call({ ...given, ...slots })).slice(),
      ),
    );
    for (const n of one.counts ?? countsUpTo(capacity)) {
      count.write([n]);
      const fed = live.map((name) => {
        const { value, dtype } = inputs[name] as LiveCall["inputs"][string];
        return [name, spoilt(value.data, (value.data.length / capacity) * n, dtype)];
      });
      const outputs = await read(captured.run(Object.fromEntries(fed) as Named<Float64Array>));
      wants.forEach((want, k) => {
        const wrong = difference(outputs[k] as Float32Array, want, Math.floor((want.length / capacity) * n));
        if (wrong) throw new Error(`${label}: live [${live}], ${n} of ${capacity} rows, output ${k}: ${wrong}`);
      });
    }
    return "equal";
  } catch (error) {
    if (error instanceof CaptureError && error.message.includes("with live rows")) return "refused";
    throw error;
  } finally {
    for (const made of [...Object.values(given), count]) made.dispose();
  }
}
