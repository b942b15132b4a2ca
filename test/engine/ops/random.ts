// Random ops against the numbers of the same counters on the CPU.

import {
  bernoulli,
  dropout,
  permutation,
  rand,
  randint,
  randn,
  randomBernoulli,
  randomIntegers,
  randomNormal,
  randomPermutation,
  randomUniform,
} from "../../../engine/index.ts";
import { type OpCase, type OpRow, ref, SIZES } from "./row.ts";

const key = { seed: 7, stream: 1, step: 2, call: 3 };

/** A draw of each size; values are exact but for normals. */
const draws = (call: (n: number) => ReturnType<OpCase["call"]>, values: (n: number) => ArrayLike<number>): OpCase[] =>
  SIZES.map((n) => ({
    label: `[${n}]`,
    inputs: {},
    call: () => call(n),
    oracle: () => ref([n], (i) => values(n)[i] as number),
    rtol: 5e-7,
    atol: 2e-7,
  }));

const dropouts = (n: number, p: number): OpCase => ({
  label: `[${n}] p ${p}`,
  inputs: { x: { shape: [n] } },
  call: ({ x }) => dropout(x!, { p, ...key }),
  oracle: ({ x }) => {
    const drops = randomBernoulli(n, p, key);
    return ref([n], (i) => (drops[i] ? 0 : (x!.data[i] as number) / (1 - p)));
  },
  grads: ["x"],
});

export const rows: OpRow[] = [
  {
    op: "rand",
    live: "no operand",
    cases: draws(
      (n) => rand([n], key),
      (n) => randomUniform(n, key),
    ),
  },
  {
    op: "randn",
    live: "no operand",
    cases: draws(
      (n) => randn([n], key),
      (n) => randomNormal(n, key),
    ),
  },
  {
    op: "randint",
    live: "no operand",
    cases: draws(
      (n) => randint([n], { low: -3, high: 9, ...key }),
      (n) => randomIntegers(n, -3, 9, key),
    ),
  },
  {
    op: "bernoulli",
    live: "no operand",
    cases: draws(
      (n) => bernoulli([n], { p: 0.3, ...key }),
      (n) => randomBernoulli(n, 0.3, key),
    ),
  },
  {
    op: "permutation",
    live: "no operand",
    cases: draws(
      (n) => permutation(n, key),
      (n) => randomPermutation(n, key),
    ),
  },
  { op: "dropout", live: "rows", cases: [...SIZES.map((n) => dropouts(n, 0.4)), dropouts(33, 0), dropouts(64, 1)] },
];
