// The op record: everything about one operation in one object - shape rule, launch, what it saves, its vjp -
// and `defineOp`, which turns a record into a function on tensors. Users define their own ops by the same function.

import type { ByName, Dims, Exactly, Kernel, Spec } from "../kernels/index.ts";
import { MAX_GROUPS } from "../kernels/index.ts";
import type { Storage } from "./buffers.ts";
import { checkFunction } from "./checks.ts";
import type { Device } from "./device.ts";
import { isFloat } from "./dtype.ts";
import { ArgumentError, DeviceError } from "./errors.ts";
import type { Backward, Differentiable, Gradient, TensorsByName } from "./graph.ts";
import {
  checkNames,
  type Declared,
  declared,
  fit,
  type GivenOperands,
  type MadeOutputs,
  type OperandSizes,
  type Operands,
  type Outputs,
} from "./operands.ts";
import { synchronous } from "./scope.ts";
import type { Described, Shape } from "./shape.ts";
import { allocate, checkDevice, Tensor } from "./tensor.ts";

/** What a call says of a launch besides its sizes. */
export interface Launch {
  /**
   * Leading blocks that it keeps apart, so that it may follow live rows; for kernels whose dims do not tell. Default 0:
   * none.
   */
  readonly rows?: number;
}

/** What launches: a device, scratch memory, a choice of variants. */
export interface Launcher {
  readonly device: Device;
  /** Appends one dispatch; `bindings` and `dims` by exactly the kernel's names. A grid with a zero runs nothing. */
  dispatch<S extends Spec, U extends string, N extends string, G extends ByName<N, Tensor>, D extends Dims<U>>(
    kernel: Kernel<S, U, N>,
    spec: NoInfer<S>,
    bindings: Exactly<G, N>,
    dims: Exactly<D, U>,
    launch?: Launch,
  ): void;
  /** Scratch memory that goes when the op has been encoded. */
  temporary(shape: Shape, dtype?: Tensor["dtype"]): Tensor;
  /** The variant that tuning found best for `key` on this adapter, else the first candidate. */
  choose<S extends Spec>(key: string, candidates: readonly S[]): S;
}

/** What `run` works with. */
export interface Run<I extends Operands, O extends Outputs, A> extends Launcher {
  readonly inputs: GivenOperands<I>;
  readonly outputs: MadeOutputs<O>;
  readonly attrs: A;
  /** What the letters of the declaration stand for. */
  readonly sizes: OperandSizes<I>;
}

/** One operation. Only the first output is differentiable; others are results without gradient, or saved statistics. */
export interface OpRecord<I extends Operands, O extends Outputs, A> {
  readonly name: string;
  /** Operands by name, with dtypes and axes (see operands.ts). */
  readonly operands: I;
  /**
   * Checks what is not declared (throws at the user's call) and describes the outputs. None has an operand's name: the
   * tape keeps both in one record.
   */
  readonly infer: (inputs: GivenOperands<I>, attrs: A, sizes: OperandSizes<I>) => O;
  /** Without a vjp: derivatives take the results for constants, as those of gates, instead of refusing them. */
  readonly isConstant?: boolean;
  /** Appends the dispatches. Absent: the first output shares the memory of the first input (a view). */
  readonly run?: (run: Run<I, O, A>) => void;
  /** The inputs and outputs that `vjp` needs; default all of them. */
  readonly saves?: readonly (keyof (GivenOperands<I> & O))[];
  /**
   * Gradients of the inputs from the gradient `g` of the first output; those in functions are computed where they are
   * wanted. Broadcast axes are summed by the tape, not here. Absent: the op cannot be differentiated, unless its
   * results count as constants (`isConstant`), or are no floats.
   */
  readonly vjp?: (
    g: Tensor,
    at: Backward<A, GivenOperands<I> & MadeOutputs<O>>,
  ) => { readonly [K in keyof GivenOperands<I>]?: Gradient };
}

/** An operation on tensors: all its outputs. */
export type Op<I extends Operands, O extends Outputs, A> = (inputs: GivenOperands<I>, attrs: A) => MadeOutputs<O>;

let gradDepth = 0;

/**
 * Runs `fn`, which must be synchronous, without recording anything for differentiation.
 *
 * @example
 * ```ts
 * import { mul, noGrad, sum, tensor } from "sortie/engine";
 *
 * const w = tensor([2]).requiresGrad();
 * const y = mul(w, noGrad(() => mul(w, 3))); // the second factor counts as a constant
 * sum(y).backward();
 * console.log(await w.grad.read()); // Float32Array(1) [6]
 * ```
 */
export function noGrad<T>(fn: () => T): T {
  checkFunction("noGrad", "fn", fn);
  gradDepth += 1;
  try {
    return synchronous("noGrad", fn());
  } finally {
    gradDepth -= 1;
  }
}

/** Runs `fn` as if no `noGrad` were around it: what it makes is for a derivative of its own. @internal */
export function recorded<T>(fn: () => T): T {
  const around = gradDepth;
  gradDepth = 0;
  try {
    return fn();
  } finally {
    gradDepth = around;
  }
}

/** Whether results are recorded for differentiation at the moment. */
export const isRecording = (): boolean => gradDepth === 0;

/** Whether a gradient through one of these inputs may be asked for. */
export const isTaped = (inputs: Readonly<Record<string, Tensor | undefined>>): boolean =>
  isRecording() && Object.values(inputs).some((input) => input?.isDifferentiable);

/** Makes an operation from its record. */
export function defineOp<const I extends Operands, const O extends Outputs, A = Record<string, never>>(
  record: OpRecord<I, O, A>,
): Op<I, O, A> {
  const known: readonly Declared[] = declared(record.operands);
  return (inputs, attrs) => {
    const named = inputs as TensorsByName;
    if (known.length > 0) checkNames(record.name, known, named);
    const all = known.length > 0 ? known : Object.keys(named).map((name) => ({ name }));
    const given = all.map(({ name }) => named[name]);
    const sizes = fit<I>(record.name, all, given);
    const device = given.find((input) => input)?.device;
    if (!device) throw new ArgumentError(`${record.name}: at least one operand must be given; got none.`);
    const described = record.infer(inputs, attrs, sizes);
    const outputs: Record<string, Tensor> = {};
    let first: Tensor | undefined;
    for (const name in described) {
      const output = described[name];
      if (!output) continue;
      if (name in named) {
        throw new ArgumentError(`${record.name}: outputs must have other names than operands; got ${name} for both.`);
      }
      outputs[name] = record.run ? allocate(output.shape, output.dtype, device) : view(given[0], output);
      first ??= outputs[name];
    }
    const made = outputs as MadeOutputs<O>;
    if (record.run) execute(record, { device, inputs, outputs: made, attrs, sizes });
    device.stream.recorder?.ran?.({ name: record.name, inputs: given, outputs: Object.values(outputs), attrs });
    if (!first || !isFloat(first.dtype) || record.isConstant) return made;
    const source = isRecording() ? given.find((input) => input?.isDifferentiable)?.source : undefined;
    if (source) {
      const names = all.map(({ name }) => name);
      first.attach(
        source.extend({ record: record as unknown as Differentiable, attrs, names, inputs: given, outputs }),
      );
    }
    return made;
  };
}

/** An operation as a function that returns its first output. */
export function single<I, A>(op: (inputs: I, attrs: A) => TensorsByName): (inputs: I, attrs: A) => Tensor {
  return (inputs, attrs) => Object.values(op(inputs, attrs))[0]!;
}

const view = (input: Tensor | undefined, { shape, dtype }: Described): Tensor => {
  const { device, storage } = input as Tensor;
  return new Tensor(device, storage.retain(), shape, dtype);
};

type Call<I extends Operands, O extends Outputs, A> = Omit<Run<I, O, A>, "dispatch" | "temporary" | "choose">;

/** Runs a record's dispatches on given outputs. */
function execute<I extends Operands, O extends Outputs, A>(record: OpRecord<I, O, A>, call: Call<I, O, A>): void {
  const { device } = call;
  const temporaries: Tensor[] = [];
  record.run?.({
    ...call,
    dispatch: (kernel, spec, bindings, dims, launch) =>
      dispatch(device, record.name, kernel, spec, bindings, dims, launch),
    temporary: (shape, dtype = "f32") => {
      const made = allocate(shape, dtype, device);
      temporaries.push(made);
      return made;
    },
    choose: (key, candidates) => device.tuner.choose(key, candidates),
  });
  for (const made of temporaries) made.dispose();
  device.tuner.listener?.ran(call, (again) => execute(record, again));
}

/** Appends one dispatch of `kernel` on behalf of `op`. */
export const dispatch: <
  S extends Spec,
  U extends string,
  N extends string,
  G extends ByName<N, Tensor>,
  D extends Dims<U>,
>(
  device: Device,
  op: string,
  kernel: Kernel<S, U, N>,
  spec: NoInfer<S>,
  bindings: Exactly<G, N>,
  dims: Exactly<D, U>,
  launch?: Launch,
) => void = append;

function append(
  device: Device,
  op: string,
  kernel: Kernel,
  spec: Spec,
  bindings: TensorsByName,
  dims: Dims,
  launch: Launch | undefined,
): void {
  const grid = kernel.grid(dims, spec);
  if (grid.some((count) => count === 0)) return;
  if (grid.some((count) => count > MAX_GROUPS)) {
    throw new DeviceError(
      `${op}: a dispatch must have at most ${MAX_GROUPS} workgroups an axis; got [${grid.join(", ")}].`,
    );
  }
  const program = device.pipelines.program(kernel, spec);
  const storages: Storage[] = program.bindings.map(({ name }) => {
    const bound = bindings[name];
    if (!bound) throw new ArgumentError(`${op}: kernel ${kernel.name} must get a tensor for ${name}; got none.`);
    checkDevice(op, bound, device);
    return bound.storage;
  });
  const uniforms = program.uniformNames.map((name) => {
    const value = dims[name];
    if (value === undefined)
      throw new ArgumentError(`${op}: kernel ${kernel.name} must get a number for ${name}; got none.`);
    return value;
  });
  program.bindings.forEach(({ access }, i) => {
    if (access !== "read") storages[i]!.touch();
  });
  const rows = device.stream.recorder && kernel.rows?.(dims, spec, launch?.rows ?? 0);
  device.stream.push({ kind: "dispatch", op, program, storages, uniforms, grid, rows });
}
