// What a record declares of its operands, as text that is also a type:
// `{ logits: "f32 N K C", labels: "i32 N", "bias?": "float O" }`. A name that ends in `?` may be missing. Dtypes: one,
// several (`i32|u32`), `float` (f32, f16), `index` (i32, u32) or `any`. Axes: none said allows every shape; a letter or
// word stands for one size within a call, a number for itself, `...` for any axes.

import { ArgumentError, DTypeError, ShapeError } from "./errors.ts";
import { type Described, describe } from "./shape.ts";
import { checkDevice, checkTensor, Tensor } from "./tensor.ts";

/** Declarations by name. A record that has none takes any tensors, named at the call. */
export type Operands = Readonly<Record<string, string>>;

/** Operands by the names that are declared. */
export type GivenOperands<I extends Operands> = {
  readonly [K in keyof I as K extends `${string}?` ? never : K]: Tensor;
} & {
  readonly [K in keyof I as K extends `${infer Name}?` ? Name : never]?: Tensor | undefined;
};

/** Descriptions of results by name; one that is undefined is left out of this call. */
export type Outputs = Readonly<Record<string, Described | undefined>>;

/** Results by name. */
export type MadeOutputs<O extends Outputs> = {
  readonly [K in keyof O]: undefined extends O[K] ? Tensor | undefined : Tensor;
};

/** Of a record whose operands are as many as a call has. */
export const ANY: Operands = {};

/** The axes of a declaration, `N K C`, as a union of its letters. */
export type Letters<Axes extends string> = Axes extends `${infer First} ${infer Rest}` ? First | Letters<Rest> : Axes;

/** The sizes that declared letters stand for. */
export type OperandSizes<I extends Operands> = {
  readonly [K in keyof I as I[K] extends `${string} ${infer Axes}`
    ? Exclude<Letters<Axes>, "..." | `${number}`>
    : never]: number;
};

/** One declaration, taken apart. */
export interface Declared {
  readonly name: string;
  readonly isOptional?: boolean;
  readonly dtypes?: readonly string[] | undefined;
  readonly axes?: readonly string[];
}

const CLASSES: Readonly<Record<string, string>> = { float: "f32|f16", index: "i32|u32" };

export const declared = (operands: Operands): Declared[] =>
  Object.entries(operands).map(([key, text]) => {
    const [dtype = "", ...axes] = text.split(" ");
    return {
      name: key.replace("?", ""),
      isOptional: key.endsWith("?"),
      dtypes: dtype === "any" ? undefined : (CLASSES[dtype] ?? dtype).split("|"),
      ...(axes.length > 0 && { axes }),
    };
  });

/**
 * A declaration as a check for functions that are made of ops: it gives the sizes of its letters, and throws what a
 * record with these operands would.
 */
export function operandsOf<const I extends Operands>(
  operands: I,
): (op: string, given: GivenOperands<I>) => OperandSizes<I> {
  const all = declared(operands);
  return (op, given) => {
    const named: Readonly<Record<string, unknown>> = given;
    return fit<I>(
      op,
      all,
      all.map(({ name }) => named[name]),
    );
  };
}

/**
 * The sizes that letters stand for. @throws ArgumentError or DisposedError unless the operands are living tensors of
 * one device, DTypeError or ShapeError unless they are as declared
 */
export function fit<I extends Operands>(
  op: string,
  all: readonly Declared[],
  given: readonly unknown[],
): OperandSizes<I> {
  const sizes: Record<string, number> = {};
  const first = given.find((x): x is Tensor => x instanceof Tensor);
  for (let i = 0; i < all.length; i++) {
    const { name, isOptional, dtypes, axes } = all[i]!;
    const x = given[i];
    if (x === undefined && isOptional) continue;
    checkTensor(op, name, x);
    if (first) checkDevice(op, x, first.device);
    if (dtypes && !dtypes.includes(x.dtype))
      throw new DTypeError(`${op}: ${name} must be ${dtypes.join(" or ")}; got ${describe(x)}. Use cast().`);
    if (!axes || binds(axes, x.shape, sizes)) continue;
    const k = all.findIndex((other) => other.axes?.some((axis) => axes.includes(axis)));
    const other = given[k];
    const beside = k < i && other instanceof Tensor ? ` for ${all[k]?.name} ${describe(other)}` : "";
    throw new ShapeError(`${op}: ${name} must be [${axes.join(", ")}]; got ${describe(x)}${beside}.`);
  }
  return sizes as OperandSizes<I>;
}

/**
 * Refuses an operand that is not declared: it would be dropped, and with it what somebody meant by it.
 * @throws ArgumentError
 */
export function checkNames(op: string, all: readonly Declared[], given: object): void {
  for (const name in given) {
    if (all.some((one) => one.name === name)) continue;
    throw new ArgumentError(`${op}: operands must be named ${all.map((one) => one.name).join(", ")}; got ${name}.`);
  }
}

/** Whether the axes stand for `shape`; new letters are noted in `sizes`. */
function binds(axes: readonly string[], shape: readonly number[], sizes: Record<string, number>): boolean {
  const gap = axes.indexOf("...");
  const over = shape.length - axes.length;
  if (gap < 0 ? over !== 0 : over < -1) return false;
  const extentOf = (i: number): number => shape[gap >= 0 && i > gap ? i + over : i]!;
  const sizeOf = (axis: string): number | undefined => (/^\d/.test(axis) ? Number(axis) : sizes[axis]);
  const isFit = axes.every((axis, i) => i === gap || (sizeOf(axis) ?? extentOf(i)) === extentOf(i));
  if (isFit)
    axes.forEach((axis, i) => {
      if (i !== gap) sizes[axis] = extentOf(i);
    });
  return isFit;
}
