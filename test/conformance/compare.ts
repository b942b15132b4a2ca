// The comparison rule of conformance cases: tolerances per tensor, NaN only for NaN, integers equal, shapes equal.

import type { Case, CaseTensor, CaseTensors, Tolerance } from "./case.ts";

/** What is wrong with `got`, one line a tensor; empty if the case passes. */
export function compareCase(one: Case, got: CaseTensors): string[] {
  const checked = Object.entries(one.tensors).filter(([name]) => /^(out|grad)\./.test(name));
  if (checked.length === 0) return ["the case expects nothing"];
  return checked.flatMap(([name, want]) => {
    const value = got[name] ?? (name.startsWith("grad.") ? zerosLike(want) : undefined);
    if (!value) return [`${name}: no value`];
    const fault = compareTensor(value, want, one.tolerances[name] ?? one);
    return fault ? [`${name}: ${fault}`] : [];
  });
}

const zerosLike = ({ dtype, shape, data }: CaseTensor): CaseTensor => ({
  dtype,
  shape,
  data: new Float32Array(data.length),
});

/** What separates two tensors, or undefined if nothing does. */
export function compareTensor(got: CaseTensor, want: CaseTensor, { rtol, atol }: Tolerance): string | undefined {
  if (got.shape.join() !== want.shape.join())
    return `shape [${got.shape.join(", ")}] instead of [${want.shape.join(", ")}]`;
  if (got.data.length !== want.data.length) return `${got.data.length} values instead of ${want.data.length}`;
  const isExact = want.dtype === "I32" || want.dtype === "U8";
  if (isExact && got.dtype !== want.dtype) return `dtype ${got.dtype} instead of ${want.dtype}`;
  let at = -1;
  let worst = 0;
  for (let i = 0; i < want.data.length; i++) {
    const a = got.data[i]!;
    const b = want.data[i]!;
    if (a === b || (Number.isNaN(a) && Number.isNaN(b))) continue;
    const allowed = isExact ? 0 : atol + rtol * Math.abs(b);
    // In units of what is allowed; an infinity or NaN on one side alone is as wrong as can be.
    const isFar = !Number.isFinite(a) || !Number.isFinite(b);
    const excess = isFar ? Number.POSITIVE_INFINITY : Math.abs(a - b) / allowed;
    if (excess > 1 && excess > worst) {
      worst = excess;
      at = i;
    }
  }
  if (at < 0) return undefined;
  const [a, b] = [got.data[at]!, want.data[at]!];
  const rule = isExact ? "equality" : `${atol} + ${rtol} * |want|`;
  return `worst error ${show(Math.abs(a - b))} at ${at} of ${want.data.length} (got ${a}, want ${b}), tolerance ${rule}`;
}

const show = (error: number): string => (Number.isFinite(error) ? error.toPrecision(3) : String(error));
