// The op record: everything about one operation in one object - shape rule, launch, what it saves, its vjp -
// and `defineOp`, which turns a record into a function on tensors. Users define their own ops by the same function.

import type { Dims, Kernel, Spec } from "../kernels/index.ts";
import { MAX_GROUPS } from "../kernels/index.ts";
import type { Storage } from "./buffers.ts";
import type { Device } from "./device.ts";
import { isFloat } from "./dtype.ts";
import { ArgumentError, DeviceError } from "./errors.ts";
import { type Derivative, Node } from "./graph.ts";
import { keep, synchronous } from "./scope.ts";
import type { Described, Shape } from "./shape.ts";
import { allocate, checkTensors, Tensor } from "./tensor.ts";
import type { Rerun } from "./tune.ts";

/** Optional operands (a missing bias) are undefined. */
export type Inputs = readonly (Tensor | undefined)[];

/** What a call says of a launch besides its sizes. */
export interface Launch {
  /** Leading blocks that it keeps apart, so that it may follow live rows; for kernels whose dims do not tell. Default 0: none. */
  readonly rows?: number;
}

/** What `run` works with. */
export interface Run<A> {
  readonly device: Device;
  readonly inputs: Inputs;
  readonly outputs: readonly Tensor[];
  readonly attrs: A;
  /** Appends one dispatch; `bindings` and `dims` by the kernel's names. A grid with a zero runs nothing. */
  dispatch<S extends Spec, U extends string>(
    kernel: Kernel<S, U>,
    spec: S,
    bindings: Readonly<Record<string, Tensor>>,
    dims: Dims<U>,
    launch?: Launch,
  ): void;
  /** Scratch memory that goes when the op has been encoded. */
  temporary(shape: Shape, dtype?: Tensor["dtype"]): Tensor;
  /** The variant that tuning found best for `key` on this adapter, else the first candidate. */
  choose<S extends Spec>(key: string, candidates: readonly S[]): S;
}

/** One operation. Only output 0 is differentiable; further outputs are results without gradient, or saved statistics. */
export interface OpRecord<A> extends Derivative<A> {
  /** Checks operands and attributes (throws at the user's call) and describes the outputs. */
  readonly infer: (inputs: Inputs, attrs: A) => readonly Described[];
  /** Without a vjp: derivatives take the results for constants, as those of gates, instead of refusing them. */
  readonly isConstant?: boolean;
  /** Appends the dispatches. Absent: output 0 shares the memory of input 0 (a view). */
  readonly run?: (run: Run<A>) => void;
}

/** An operation on tensors: all its outputs. */
export type Op<A> = (inputs: Inputs, attrs: A) => readonly Tensor[];

let gradDepth = 0;

/** Runs `fn`, which must be synchronous, without recording anything for differentiation. */
export function noGrad<T>(fn: () => T): T {
  gradDepth += 1;
  try {
    return synchronous("noGrad", fn());
  } finally {
    gradDepth -= 1;
  }
}

/** Whether results are recorded for differentiation at the moment. */
export const isRecording = (): boolean => gradDepth === 0;

/** Makes an operation from its record. */
export function defineOp<A = Record<string, never>>(record: OpRecord<A>): Op<A> {
  return (inputs, attrs) => {
    const device = deviceOf(record.name, inputs);
    const described = record.infer(inputs, attrs);
    const outputs = record.run
      ? described.map(({ shape, dtype }) => allocate(shape, dtype, device))
      : view(inputs, described);
    if (record.run) execute(record, device, inputs, outputs, attrs);
    device.stream.recorder?.ran?.({ name: record.name, inputs, outputs, attrs });
    const [first] = outputs;
    const isTaped = first && isFloat(first.dtype) && !record.isConstant;
    if (isTaped && isRecording() && inputs.some((input) => input?.isDifferentiable)) {
      first.attach(new Node(record as Derivative<never>, attrs, inputs, outputs));
    }
    return outputs;
  };
}

/** An operation with one output, as a function that returns it. */
export function single<A>(op: Op<A>): (inputs: Inputs, attrs: A) => Tensor {
  return (inputs, attrs) => op(inputs, attrs)[0] as Tensor;
}

function view(inputs: Inputs, [described]: readonly Described[]): Tensor[] {
  const input = inputs[0] as Tensor;
  const { shape, dtype } = described as Described;
  return [new Tensor(input.device, input.storage.retain(), shape, dtype)];
}

/** Throws ArgumentError unless `tensor` is on `device`. */
export function checkDevice(op: string, tensor: Tensor, device: Device): void {
  if (tensor.device !== device) throw new ArgumentError(`${op}: all operands must be on one device; got two.`);
}

function deviceOf(op: string, inputs: Inputs): Device {
  let device: Device | undefined;
  for (const input of inputs) {
    if (input === undefined) continue;
    checkTensors(op, { "an operand": input });
    device ??= input.device;
    checkDevice(op, input, device);
  }
  if (!device) throw new ArgumentError(`${op}: at least one operand must be given; got none.`);
  return device;
}

/** Runs a record's dispatches on given outputs. */
function execute<A>(record: OpRecord<A>, device: Device, inputs: Inputs, outputs: readonly Tensor[], attrs: A): void {
  const temporaries: Tensor[] = [];
  record.run?.({
    device,
    inputs,
    outputs,
    attrs,
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
  if (device.tuner.isAsked) device.tuner.note(() => held(record, device, inputs, outputs, attrs));
}

/** The op on handles of its own, out of the scopes of the code under `tune`. */
function held<A>(record: OpRecord<A>, device: Device, inputs: Inputs, outputs: readonly Tensor[], attrs: A): Rerun {
  const hold = (tensor: Tensor): Tensor => keep(tensor.detach());
  const [own, results] = [inputs.map((input) => input && hold(input)), outputs.map(hold)];
  return {
    run: () => execute(record, device, own, results, attrs),
    dispose: () => {
      for (const tensor of [...own, ...results]) tensor?.dispose();
    },
  };
}

/** Appends one dispatch of `kernel` on behalf of `op`. */
export function dispatch<S extends Spec, U extends string>(
  device: Device,
  op: string,
  kernel: Kernel<S, U>,
  spec: S,
  bindings: Readonly<Record<string, Tensor>>,
  dims: Dims<U>,
  launch?: Launch,
): void {
  const grid = kernel.grid(dims, spec);
  if (grid.some((count) => count === 0)) return;
  if (grid.some((count) => count > MAX_GROUPS)) {
    throw new DeviceError(
      `${op}: a dispatch must have at most ${MAX_GROUPS} workgroups an axis; got [${grid.join(", ")}].`,
    );
  }
  const program = device.pipelines.program(kernel as unknown as Kernel, spec);
  const storages: Storage[] = program.bindings.map(({ name }) => {
    const bound = bindings[name];
    if (!bound) throw new ArgumentError(`${op}: kernel ${kernel.name} must get a tensor for ${name}; got none.`);
    checkDevice(op, bound, device);
    return bound.storage;
  });
  const uniforms = program.uniformNames.map((name) => {
    const value = dims[name as U] as number | undefined;
    if (value === undefined)
      throw new ArgumentError(`${op}: kernel ${kernel.name} must get a number for ${name}; got none.`);
    return value;
  });
  program.bindings.forEach(({ access }, i) => {
    if (access !== "read") (storages[i] as Storage).touch();
  });
  const rows = device.stream.recorder && kernel.rows?.(dims, spec, launch?.rows ?? 0);
  device.stream.push({ kind: "dispatch", op, program, storages, uniforms, grid, rows });
}
