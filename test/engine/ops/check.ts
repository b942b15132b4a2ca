// Runs a case of the op table: values against the float64 oracle, gradients against its central differences.

import type { Device } from "../../../engine/index.ts";
import { backward, type DType, scope, type Tensor, tensor } from "../../../engine/index.ts";
import type { Draw, OpCase, Ref } from "./row.ts";

/** A small generator of the tests' own, so that they do not lean on the engine's. */
export function mulberry(seed: number): () => number {
  let a = seed >>> 0;
  return () => {
    a = (a + 0x6d2b79f5) >>> 0;
    let t = Math.imul(a ^ (a >>> 15), 1 | a);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
}

const count = (shape: readonly number[]) => shape.reduce((n, extent) => n * extent, 1);

export function drawn({ shape, dtype = "f32", range = [-2, 2], values }: Draw, random: () => number): Ref {
  const [low, high] = dtype === "bool" ? [0, 2] : range;
  const value = (i: number): number => {
    if (values) return values[i] as number;
    const x = low + (high - low) * random();
    return dtype === "f32" || dtype === "f16" ? x : Math.floor(x);
  };
  return { shape, data: Float64Array.from(Float32Array.from({ length: count(shape) }, (_, i) => value(i))) };
}

/** One result, or several, as several. */
export const list = <T>(value: T | readonly T[]): readonly T[] => (Array.isArray(value) ? value : [value as T]);

const worst = (got: ArrayLike<number>, want: Float64Array, rtol: number, atol: number): string | undefined => {
  let message: string | undefined;
  let excess = 0;
  for (let i = 0; i < want.length; i++) {
    const [a, b] = [got[i] as number, want[i] as number];
    if (Object.is(a, b) || a === b || (Number.isNaN(a) && Number.isNaN(b))) continue;
    const over = Math.abs(a - b) - (atol + rtol * Math.abs(b));
    if (!(over <= 0) && !(over <= excess && message)) {
      excess = over;
      message = `element ${i}: got ${a}, want ${b}`;
    }
  }
  return message;
};

/** Throws an Error that names the element and both values where engine and oracle disagree. */
export async function checkCase(device: Device, op: string, one: OpCase, seed: number): Promise<void> {
  const { inputs, rtol = 2e-5, atol = 2e-5, grads = [], step = 1e-5 } = one;
  const random = mulberry(seed);
  const label = `${op} ${
    one.label ??
    Object.values(inputs)
      .map(({ shape }) => `[${shape}]`)
      .join(" x ")
  }`;
  const refs = Object.fromEntries(Object.entries(inputs).map(([name, spec]) => [name, drawn(spec, random)]));
  const wants = list(one.oracle(refs));
  const first = wants[0] as Ref;
  const cotangent = Float64Array.from(Float32Array.from(first.data, () => 2 * random() - 1));
  const tensors = Object.fromEntries(
    Object.entries(refs).map(([name, { shape, data }]) => {
      const made = tensor(data, { shape, dtype: (inputs[name]?.dtype ?? "f32") as DType, device });
      return [name, grads.includes(name) ? made.requiresGrad() : made];
    }),
  );
  try {
    const outputs = scope(() => list(one.call(tensors)).slice());
    for (const [i, want] of wants.entries()) {
      const got = outputs[i] as Tensor;
      if (got.shape.join() !== want.shape.join())
        throw new Error(`${label}: output ${i} has shape [${got.shape}], want [${want.shape}]`);
      const wrong = worst(await got.read(), want.data, rtol, atol);
      if (wrong) throw new Error(`${label}: output ${i}, ${wrong}`);
    }
    if (grads.length > 0) {
      const g = tensor(cotangent, { shape: first.shape, device });
      scope(() => backward(outputs[0] as Tensor, { gradient: g }));
      g.dispose();
      const value = (shifted: Record<string, Ref>) =>
        (list(one.oracle(shifted))[0] as Ref).data.reduce((sum, y, i) => sum + y * (cotangent[i] as number), 0);
      for (const name of grads)
        await checkGradient(label, name, refs, tensors[name] as Tensor, value, { random, step, rtol, atol });
    }
    for (const output of outputs) output.dispose();
  } finally {
    for (const made of Object.values(tensors)) made.dispose();
  }
}

async function checkGradient(
  label: string,
  name: string,
  refs: Record<string, Ref>,
  leaf: Tensor,
  value: (refs: Record<string, Ref>) => number,
  { random, step, rtol, atol }: { random: () => number; step: number; rtol: number; atol: number },
): Promise<void> {
  const x = refs[name] as Ref;
  const gradient = leaf.hasGrad ? await leaf.grad.read() : new Float32Array(x.data.length);
  for (let k = 0; k < 3; k++) {
    const direction = x.data.map(() => 2 * random() - 1);
    const at = (h: number) =>
      value({ ...refs, [name]: { shape: x.shape, data: x.data.map((v, i) => v + h * (direction[i] as number)) } });
    const want = (at(step) - at(-step)) / (2 * step);
    const got = direction.reduce((sum, v, i) => sum + v * (gradient[i] as number), 0);
    const scale = direction.reduce((sum, v, i) => sum + Math.abs(v * (gradient[i] as number)), 0);
    const tolerance = 10 * atol + 10 * rtol * (scale + Math.abs(want));
    if (!(Math.abs(got - want) <= tolerance)) {
      throw new Error(
        `${label}: gradient of ${name} along direction ${k} is ${got}, central difference ${want} (tolerance ${tolerance})`,
      );
    }
  }
}
