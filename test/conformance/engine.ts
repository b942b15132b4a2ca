// Runs a case on the engine: host tensors in, a function of tensors, its outputs and the gradients of the cotangents
// out.

import { backward, type DType, openScope, read, type Tensor, tensor } from "../../engine/index.ts";
import { checkInputs, watched } from "./attrs.ts";
import {
  type Case,
  type CaseAttrs,
  type CaseRunner,
  type CaseTensor,
  type CaseTensors,
  prefixed,
  tensorsOf,
} from "./case.ts";

/** The inputs of a case as tensors, by their names without "in.". */
export interface Operands {
  (name: string): Tensor;
  /** Undefined where the case has no such input. */
  maybe(name: string): Tensor | undefined;
  /** `x0`, `x1`, ... as far as there are any. */
  numbered(prefix: string): Tensor[];
}

/** A function of tensors as a case has it; outputs by their names without "out.". */
export type EngineFunction = (inputs: Operands, attrs: CaseAttrs) => Record<string, Tensor>;

function operands(inputs: Readonly<Record<string, Tensor>>): Operands {
  const maybe = (name: string): Tensor | undefined => inputs[name];
  const need = (name: string): Tensor => {
    const found = inputs[name];
    if (!found) throw new Error(`the case has no input ${name}`);
    return found;
  };
  const numbered = (prefix: string): Tensor[] => {
    const names = Object.keys(inputs).filter((name) => new RegExp(`^${prefix}\\d+$`).test(name));
    return names.map((_, i) => need(`${prefix}${i}`));
  };
  return Object.assign(need, { maybe, numbered });
}

const DTYPES: Readonly<Record<CaseTensor["dtype"], DType>> = { F32: "f32", F64: "f32", I32: "i32", U8: "bool" };

/** The tensor of a case on the default device. */
export const toDevice = ({ dtype, shape, data }: CaseTensor): Tensor => tensor(data, { shape, dtype: DTYPES[dtype] });

/** Host copies of tensors, read with one wait. */
export async function toHost(tensors: Readonly<Record<string, Tensor>>): Promise<CaseTensors> {
  const names = Object.keys(tensors);
  const data = await read(Object.values(tensors));
  return Object.fromEntries(
    names.map((name, i) => {
      const { dtype, shape } = tensors[name]!;
      const values = data[i]!;
      if (dtype === "bool") return [name, { dtype: "U8", shape: [...shape], data: Uint8Array.from(values) }];
      if (dtype === "i32" || dtype === "u32")
        return [name, { dtype: "I32", shape: [...shape], data: Int32Array.from(values) }];
      return [name, { dtype: "F32", shape: [...shape], data: Float32Array.from(values) }];
    }),
  );
}

/** Runs `fn` on the inputs of a case and differentiates `sum over outputs of sum(cotangent * output)`. */
export function onEngine(fn: EngineFunction): CaseRunner {
  return async (one: Case): Promise<CaseTensors> => {
    // Cases run one after the other, so an open scope catches this case's tensors only.
    using _ = openScope();
    const wanted = Object.keys(tensorsOf(one, "grad"));
    const inputs = Object.fromEntries(
      Object.entries(tensorsOf(one, "in")).map(([name, value]) => [name, toDevice(value)]),
    );
    for (const name of wanted) inputs[name]!.requiresGrad();
    const { seen, unread } = watched(inputs);
    const outputs = fn(operands(seen), one.attrs);
    checkInputs(unread());
    const cotangents = Object.entries(tensorsOf(one, "cotangent"));
    for (const [name, value] of cotangents) {
      const output = outputs[name];
      if (output?.isDifferentiable) backward(output, { gradient: toDevice(value), retain: true });
    }
    const reached = wanted.filter((name) => inputs[name]!.hasGrad);
    const grads = Object.fromEntries(reached.map((name) => [name, inputs[name]!.grad]));
    const values = { ...prefixed("out", await toHost(outputs)), ...prefixed("grad", await toHost(grads)) };
    await Object.values(inputs)[0]?.device.sync();
    return values;
  };
}
