// Sums of products by the letters of their axes, as batched matrix products.

import { ArgumentError, ShapeError } from "../errors.ts";
import { describe } from "../shape.ts";
import { positional } from "../signature.ts";
import { checkTensorList, type Tensor } from "../tensor.ts";
import { matmul } from "./matmul.ts";
import { permute } from "./move.ts";
import { sum } from "./reduce.ts";
import { reshape } from "./view.ts";

/** A tensor and the letters of its axes. */
interface Term {
  readonly x: Tensor;
  readonly axes: string;
}

const FORM = /^[A-Za-z]*(,[A-Za-z]*)*->[A-Za-z]*$/;

const letters = (axes: string): string => [...new Set(axes)].join("");
const within = (axes: string, keeps: (letter: string) => boolean): string => [...axes].filter(keeps).join("");

/** The axes in another order. */
const ordered = ({ x, axes }: Term, order: string): Tensor =>
  permute(
    x,
    [...order].map((letter) => axes.indexOf(letter)),
  );

/** Axes that nobody asks for any more, summed. */
function summed(term: Term, wanted: string): Term {
  const dim = [...term.axes].flatMap((letter, i) => (wanted.includes(letter) ? [] : [i]));
  return dim.length === 0
    ? term
    : { x: sum(term.x, { dim }), axes: within(term.axes, (letter) => wanted.includes(letter)) };
}

/** The product of two terms, with the axes that are `wanted`. */
function product(first: Term, second: Term, wanted: string): Term {
  const a = summed(first, second.axes + wanted);
  const b = summed(second, first.axes + wanted);
  const both = within(a.axes, (letter) => b.axes.includes(letter));
  const batch = within(both, (letter) => wanted.includes(letter));
  const inner = within(both, (letter) => !wanted.includes(letter));
  const rows = within(a.axes, (letter) => !both.includes(letter));
  const columns = within(b.axes, (letter) => !both.includes(letter));
  const size = (axes: string, { x, axes: own }: Term): number =>
    [...axes].reduce((n, letter) => n * x.shape[own.indexOf(letter)]!, 1);
  const shape = (axes: string): number[] =>
    [...axes]
      .map((letter) => (a.axes.includes(letter) ? a : b))
      .map(({ x, axes: own }, i) => x.shape[own.indexOf(axes[i]!)]!);
  const left = reshape(ordered(a, batch + rows + inner), [size(batch, a), size(rows, a), size(inner, a)]);
  const right = reshape(ordered(b, batch + inner + columns), [size(batch, a), size(inner, a), size(columns, b)]);
  const axes = batch + rows + columns;
  return { x: reshape(matmul(left, right), shape(axes)), axes };
}

function termsOf(equation: string, operands: readonly Tensor[]): { readonly terms: Term[]; readonly out: string } {
  if (typeof equation !== "string" || !FORM.test(equation.replaceAll(" ", ""))) {
    throw new ArgumentError(
      `einsum: the equation must name axes by letters, as in "bij,bjk->bik"; got ${JSON.stringify(equation)}.`,
    );
  }
  const [inputs = "", out = ""] = equation.replaceAll(" ", "").split("->");
  const lists = inputs.split(",");
  if (lists.length !== operands.length)
    throw new ArgumentError(`einsum: "${equation}" must have an operand per list of axes; got ${operands.length}.`);
  const extents = new Map<string, number>();
  const terms = lists.map((axes, i): Term => {
    const x = operands[i]!;
    if (axes.length !== x.rank) throw new ShapeError(`einsum: "${axes}" must name every axis; got ${describe(x)}.`);
    if (letters(axes) !== axes)
      throw new ArgumentError(`einsum: an operand must name each axis once; got "${axes}". Diagonals are not taken.`);
    [...axes].forEach((letter, k) => {
      const extent = extents.get(letter) ?? x.shape[k]!;
      if (extent !== x.shape[k])
        throw new ShapeError(`einsum: ${letter} must be ${extent} everywhere; got ${describe(x)} as "${axes}".`);
      extents.set(letter, extent);
    });
    return { x, axes };
  });
  const stray = [...out].find((letter) => !extents.has(letter));
  if (stray !== undefined || letters(out) !== out)
    throw new ArgumentError(
      `einsum: the result must name axes of the operands, each once; got "${out}" in "${equation}".`,
    );
  return { terms, out };
}

/**
 * The sum of products that `equation` names, as in NumPy and PyTorch: `einsum("bij,bjk->bik", [a, b])` is a batched
 * matrix product. Every axis has a letter; axes that the result leaves out are summed. Operands are multiplied from
 * left to right, each product a batched `matmul`.
 *
 * @example
 * ```ts
 * import { einsum, tensor } from "sortie/engine";
 *
 * const x = tensor([[1, 2], [3, 4]]);
 * console.log(await einsum("ij,ij->i", [x, x]).read()); // Float32Array(2) [5, 25]
 * ```
 */
export const einsum = positional(
  "einsum(equation, operands)",
  (equation: string, operands: readonly Tensor[]): Tensor => {
    checkTensorList("einsum", "operands", operands);
    const { terms, out } = termsOf(equation, operands);
    const [first, ...rest] = terms as [Term, ...Term[]];
    const whole = rest.reduce((made, term, i) => {
      const later = rest
        .slice(i + 1)
        .map(({ axes }) => axes)
        .join("");
      return product(made, term, out + later);
    }, first);
    return ordered(summed(whole, out), out);
  },
);
