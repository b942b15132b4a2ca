// Minimisers for small smooth problems: L-BFGS for vectors, safeguarded Newton for one variable.

import { addScaled, dot } from "./arrays.ts";

/** What a minimiser found, and whether to believe it. */
export interface Minimum {
  readonly x: Float64Array;
  readonly value: number;
  /** Largest absolute entry of the gradient. */
  readonly gradient: number;
  readonly iterations: number;
  readonly converged: boolean;
}

/** Returns the value at `x` and writes the gradient. */
export type Objective = (x: Float64Array, gradient: Float64Array) => number;

const MEMORY = 10;

/** L-BFGS with a backtracking Armijo search (Nocedal and Wright, algorithm 7.5). */
export function minimise(
  objective: Objective,
  start: Float64Array,
  { maxIterations = 200, tolerance = 1e-7 }: { readonly maxIterations?: number; readonly tolerance?: number } = {},
): Minimum {
  let x = Float64Array.from(start);
  let g = new Float64Array(x.length);
  let value = objective(x, g);
  const pairs: CurvaturePair[] = [];
  let iterations = 0;
  while (iterations < maxIterations && largest(g) > tolerance) {
    let direction = descent(g, pairs);
    let slope = dot(direction, g);
    if (slope >= 0) {
      // curvature pairs have gone stale: start again from the steepest descent
      pairs.length = 0;
      direction = g.map((v) => -v);
      slope = -dot(g, g);
    }
    let t = pairs.length === 0 ? Math.min(1, 1 / Math.sqrt(-slope)) : 1;
    const next = new Float64Array(x.length);
    const nextG = new Float64Array(x.length);
    let nextValue = Number.POSITIVE_INFINITY;
    for (let tries = 0; tries < 40; tries++, t /= 2) {
      next.set(x);
      addScaled(next, t, direction);
      nextValue = objective(next, nextG);
      if (nextValue <= value + 1e-4 * t * slope) break;
    }
    if (!(nextValue < value)) break; // no progress left in float64
    const step = difference(next, x);
    const change = difference(nextG, g);
    if (dot(step, change) > 1e-12 * Math.sqrt(dot(step, step) * dot(change, change))) {
      pairs.push({ step, change });
      if (pairs.length > MEMORY) pairs.shift();
    }
    x = next;
    g = nextG;
    value = nextValue;
    iterations++;
  }
  const gradient = largest(g);
  return { x, value, gradient, iterations, converged: gradient <= Math.max(tolerance, 1e-5) };
}

/** How far a step went, and how the gradient changed along it. */
interface CurvaturePair {
  readonly step: Float64Array;
  readonly change: Float64Array;
}

/** Minus the approximate inverse Hessian times the gradient (two-loop recursion). */
function descent(g: Float64Array, pairs: readonly CurvaturePair[]): Float64Array {
  const q = g.map((v) => -v);
  const weighted = pairs.toReversed().map(({ step, change }) => {
    const weight = dot(step, q) / dot(step, change);
    addScaled(q, -weight, change);
    return { step, change, weight };
  });
  const last = pairs.at(-1);
  const scale = last ? dot(last.step, last.change) / dot(last.change, last.change) : 1;
  const direction = q.map((v) => v * scale);
  for (const { step, change, weight } of weighted.reverse())
    addScaled(direction, weight - dot(change, direction) / dot(step, change), step);
  return direction;
}

/** Where an increasing function is zero. */
export interface Root {
  readonly x: number;
  /** The last Newton step: the distance to the root, unless the function has gone flat. */
  readonly step: number;
  readonly iterations: number;
}

/**
 * The root of an increasing function by Newton steps kept inside a shrinking bracket.
 * `f` returns value and slope; a root outside the bracket ends at its nearest end.
 */
export function increasingRoot(
  f: (x: number) => readonly [value: number, slope: number],
  {
    low,
    high,
    start,
    tolerance = 1e-12,
  }: { readonly low: number; readonly high: number; readonly start: number; readonly tolerance?: number },
): Root {
  let a = low;
  let b = high;
  let x = start;
  let step = Number.NaN;
  let iterations = 0;
  for (; iterations < 100; iterations++) {
    const [value, slope] = f(x);
    if (value === 0) return { x, step: iterations === 0 ? 0 : step, iterations };
    if (value > 0) b = x;
    else a = x;
    step = value / slope;
    let next = x - step;
    if (!(next > a && next < b)) next = 0.5 * (a + b);
    if (Math.abs(next - x) <= tolerance * Math.max(1, Math.abs(x))) break;
    x = next;
  }
  return { x, step, iterations };
}

function difference(a: Float64Array, b: Float64Array): Float64Array {
  const out = Float64Array.from(a);
  addScaled(out, -1, b);
  return out;
}

function largest(g: Float64Array): number {
  let best = 0;
  for (const v of g) best = Math.max(best, Math.abs(v));
  return best;
}
