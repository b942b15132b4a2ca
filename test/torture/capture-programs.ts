// Random steps over tensors, as data: the same program runs eagerly and inside a capture.

import type { Random } from "../../calibration/index.ts";
import * as s from "../../engine/index.ts";

/** An earlier value of the program (0 is its input), or a tensor from outside. */
type Operand = { readonly value: number } | { readonly cell: number };

const BINARY = { add: s.add, sub: s.sub, mul: s.mul, maximum: s.maximum } as const;
const UNARY = { tanh: s.tanh, neg: s.neg, sigmoid: s.sigmoid } as const;

type Instruction =
  | { readonly kind: "binary"; readonly op: keyof typeof BINARY; readonly a: Operand; readonly b: Operand }
  | { readonly kind: "unary"; readonly op: keyof typeof UNARY; readonly a: Operand }
  | { readonly kind: "constant"; readonly number: number; readonly a: Operand }
  | { readonly kind: "view"; readonly a: Operand }
  | { readonly kind: "store" | "accumulate" | "gradient"; readonly cell: number; readonly a: Operand };

/** Instructions, and the shape of all values. */
export interface Program {
  readonly shape: s.Shape;
  readonly instructions: readonly Instruction[];
}

/** Cells that a program writes in place. */
export const written = ({ instructions }: Program): number[] =>
  instructions.flatMap((item) => (item.kind === "store" || item.kind === "accumulate" ? [item.cell] : []));

/** Cells that a program touches at all. */
export function touched({ instructions }: Program): ReadonlySet<number> {
  const cells = new Set<number>();
  for (const item of instructions) {
    for (const operand of [item.kind === "binary" ? item.b : item.a, item.a])
      if ("cell" in operand) cells.add(operand.cell);
    if ("cell" in item) cells.add(item.cell);
  }
  return cells;
}

/**
 * Draws a program over some cells. With `isPure` it only computes, as steps on live rows must.
 * @param leaves Those of the cells that gradients flow to.
 */
export function drawProgram(
  random: Random,
  shape: s.Shape,
  { cells, leaves, isPure }: { cells: readonly number[]; leaves: readonly number[]; isPure: boolean },
): Program {
  let values = 1;
  const pick = <T>(all: readonly T[]): T => all[random.below(all.length)] as T;
  const operand = (): Operand => (random.below(2) === 0 ? { cell: pick(cells) } : { value: random.below(values) });
  const compute = (): Instruction => {
    const kind = random.below(isPure ? 2 : 4);
    const [a, b] = [operand(), operand()];
    values += 1;
    if (kind === 0) return { kind: "unary", op: pick(["tanh", "neg", "sigmoid"] as const), a };
    if (kind === 1) return { kind: "binary", op: pick(["add", "sub", "mul", "maximum"] as const), a, b };
    return kind === 2 ? { kind: "view", a } : { kind: "constant", number: random.below(16) / 8, a };
  };
  const instructions: Instruction[] = [compute()];
  for (let i = random.below(5); i > 0; i--) {
    const kind = isPure ? 9 : random.below(8);
    if (kind === 0) instructions.push({ kind: "store", cell: pick(cells), a: operand() });
    else if (kind === 1) instructions.push({ kind: "accumulate", cell: pick(cells), a: operand() });
    else if (kind < 4 && leaves.length > 0) instructions.push({ kind: "gradient", cell: pick(leaves), a: operand() });
    else instructions.push(compute());
  }
  // The input counts at the end, so that with live rows the result is live.
  instructions.push({ kind: "binary", op: "add", a: { value: 0 }, b: { value: values - 1 } });
  return { shape, instructions };
}

/**
 * Runs a program; returns its last value. Gradients are left at leaves, and tensors changed, as the instructions say.
 */
export function execute({ shape, instructions }: Program, x: s.Tensor, cell: (i: number) => s.Tensor): s.Tensor {
  const values = [x];
  const of = (operand: Operand) => ("cell" in operand ? cell(operand.cell) : (values[operand.value] as s.Tensor));
  const size = shape.reduce((n, extent) => n * extent, 1);
  const run = (item: Exclude<Instruction, { kind: "gradient" }>): void => {
    const a = of(item.a);
    if (item.kind === "binary") values.push(BINARY[item.op](a, of(item.b)));
    else if (item.kind === "unary") values.push(UNARY[item.op](a));
    else if (item.kind === "view") values.push(s.reshape(s.neg(s.reshape(a, [size])), shape));
    else if (item.kind === "constant")
      values.push(s.add(a, s.tensor(new Float32Array(size).fill(item.number), { shape })));
    else if (item.kind === "store") s.copyInto(cell(item.cell), "cell" in item.a ? a : s.tanh(a));
    else {
      s.addInto(cell(item.cell), a);
      // Bounded, however often it runs.
      s.copyInto(cell(item.cell), s.tanh(cell(item.cell)));
    }
  };
  for (const item of instructions) {
    if (item.kind !== "gradient") s.noGrad(() => run(item));
    else {
      const leaf = cell(item.cell);
      leaf.zeroGrad();
      s.backward(s.sum(s.mul(s.mul(leaf, leaf), s.tanh(of(item.a).detach()))));
    }
  }
  return values.at(-1) as s.Tensor;
}
