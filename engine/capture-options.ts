// What a capture is declared with: inputs, scalars, state, live rows; each checked before the step is traced, and all
// on one device.

import { isRecord, type Kinds, what } from "../base/index.ts";
import { checkValue } from "./checks.ts";
import { type Device, deviceOr } from "./device.ts";
import { checkDType } from "./dtype.ts";
import { ArgumentError, readOptions } from "./errors.ts";
import { checkShape, type Described } from "./shape.ts";
import { checkDevice, checkTensorList, checkTensors, Tensor } from "./tensor.ts";

/** What changes between replays. */
export interface CaptureOptions<I extends Record<string, Described>, S extends Record<string, number>> {
  /** Shapes and dtypes of the tensors given anew at each run; example tensors will do. */
  readonly inputs?: I;
  /** Numbers given anew at each run (a learning rate), seen by the step as f32 tensors of shape []. */
  readonly scalars?: S;
  /** Tensors outside the step that it writes in place: parameters, optimiser state, running statistics. */
  readonly state?: readonly (Tensor | { readonly state: readonly Tensor[] })[];
  /**
   * Live rows: u32[1], the number of leading rows of the inputs that count, known on the GPU alone. The inputs' common
   * leading extent is the capacity; each dispatch covers the first rows only. Ops that mix rows are refused, and so are
   * writes of state by ops that are not given this very count.
   */
  readonly rows?: Tensor;
  /** For messages and GPU tools: `capture "label"`. */
  readonly label?: string;
  /** Default: that of the state, the rows or the example inputs, else the default device. */
  readonly device?: Device;
}

type Options = CaptureOptions<Record<string, Described>, Record<string, number>>;

const CAPTURE: Kinds<Options> = {
  inputs: "any",
  scalars: "any",
  state: "any",
  rows: "any",
  device: "any",
  label: "string",
};

/** What `capture` goes by. */
export interface Declared {
  readonly device: Device;
  /** For messages: `capture "label"`. */
  readonly name: string;
  readonly state: readonly Tensor[];
}

/** Checks the options of `capture`. @throws ArgumentError (ShapeError, DTypeError) for what does not fit. */
export function declare(options: Options): Declared {
  const { label, rows, device, inputs = {}, scalars = {} } = readOptions("capture", options, CAPTURE);
  checkTensors("capture", { "rows?": rows });
  checkRecord("inputs", inputs);
  checkRecord("scalars", scalars);
  for (const [name, input] of Object.entries(inputs)) checkInput(name, input);
  for (const [name, value] of Object.entries(scalars)) checkNumber("capture", name, value);
  const state = stateOf(options.state ?? []);
  const examples = Object.values(inputs).filter((input) => input instanceof Tensor);
  return {
    device: oneDevice(device, [...state, ...(rows ? [rows] : []), ...examples]),
    name: label === undefined ? "capture" : `capture "${label}"`,
    state,
  };
}

/** The device of all of them. @throws ArgumentError for two. */
function oneDevice(given: Device | undefined, tensors: readonly Tensor[]): Device {
  const device = deviceOr("capture", given ?? tensors[0]?.device);
  for (const tensor of tensors) checkDevice("capture", tensor, device);
  return device;
}

/** Checks that a scalar's value is a number. @throws ArgumentError */
export function checkNumber(op: string, name: string, value: unknown): void {
  if (typeof value !== "number") throw new ArgumentError(`${op}: scalar ${name} must be a number; got ${what(value)}.`);
}

function checkRecord(option: string, value: unknown): void {
  if (!isRecord(value) || value instanceof Tensor)
    throw new ArgumentError(`capture: ${option} must be an object, by name; got ${what(value)}.`);
}

function checkInput(name: string, input: Described): void {
  if (input instanceof Tensor) {
    input.check("capture");
    return;
  }
  if (typeof input !== "object" || input === null || !("shape" in input && "dtype" in input))
    throw new ArgumentError(`capture: input ${name} must be { shape, dtype } or a tensor; got ${what(input)}.`);
  checkShape(`capture: input ${name}`, input.shape);
  checkDType(`capture: input ${name}`, input.dtype);
}

function stateOf(state: NonNullable<Options["state"]>): Tensor[] {
  checkValue("capture", "state", state, { must: "a list", fits: Array.isArray });
  return state.flatMap((item: Tensor | { readonly state?: readonly Tensor[] } | null, i) => {
    const tensors = item instanceof Tensor ? [item] : item?.state;
    if (!Array.isArray(tensors))
      throw new ArgumentError(`capture: state[${i}] must be a tensor, or have some as its state; got ${what(item)}.`);
    checkTensorList("capture", `state[${i}]`, tensors);
    return tensors;
  });
}
