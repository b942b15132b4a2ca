// Writes ONNX models: the few messages of onnx.proto that one graph of float32 operators needs, encoded by hand.
// Source: onnx/onnx.proto3 (field numbers) and the protocol buffer wire format.

/** An operator: its inputs and outputs by name, and integer, float or string attributes. */
export interface OnnxNode {
  readonly op: string;
  readonly inputs: readonly string[];
  readonly outputs: readonly string[];
  readonly attrs?: Readonly<Record<string, number | string | readonly number[] | { readonly float: number }>>;
}

/** A constant of the graph. */
export interface OnnxConstant {
  readonly name: string;
  readonly shape: readonly number[];
  readonly data: Float32Array;
}

/** A graph's input or output. */
export interface OnnxValue {
  readonly name: string;
  readonly shape: readonly number[];
}

const FLOAT = 1;
const IR_VERSION = 8;
const OPSET = 17;

type Bytes = readonly number[] | Uint8Array;

function varint(value: number): number[] {
  const out: number[] = [];
  let rest = value;
  while (rest >= 128) {
    out.push((rest % 128) | 128);
    rest = Math.floor(rest / 128);
  }
  out.push(rest);
  return out;
}

function join(parts: readonly Bytes[]): Uint8Array {
  const out = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let offset = 0;
  for (const part of parts) {
    out.set(part, offset);
    offset += part.length;
  }
  return out;
}

const integer = (field: number, value: number): Bytes => [...varint(field * 8), ...varint(value)];
const message = (field: number, ...parts: readonly Bytes[]): Uint8Array => {
  const body = join(parts);
  return join([varint(field * 8 + 2), varint(body.length), body]);
};
const text = (field: number, value: string): Uint8Array => message(field, new TextEncoder().encode(value));
const float = (field: number, value: number): Bytes =>
  join([varint(field * 8 + 5), new Uint8Array(Float32Array.of(value).buffer)]);

function attribute(name: string, value: NonNullable<OnnxNode["attrs"]>[string]): Uint8Array {
  const field = 5;
  if (typeof value === "number") return message(field, text(1, name), integer(3, value), integer(20, 2));
  if (typeof value === "string") return message(field, text(1, name), text(4, value), integer(20, 3));
  if ("float" in value) return message(field, text(1, name), float(2, value.float), integer(20, 1));
  return message(field, text(1, name), ...value.map((item) => integer(8, item)), integer(20, 7));
}

function node({ op, inputs, outputs, attrs = {} }: OnnxNode): Uint8Array {
  return message(
    1,
    ...inputs.map((name) => text(1, name)),
    ...outputs.map((name) => text(2, name)),
    text(4, op),
    ...Object.entries(attrs).map(([name, value]) => attribute(name, value)),
  );
}

function constant({ name, shape, data }: OnnxConstant): Uint8Array {
  const raw = new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
  return message(5, ...shape.map((extent) => integer(1, extent)), integer(2, FLOAT), text(8, name), message(9, raw));
}

function value(field: number, { name, shape }: OnnxValue): Uint8Array {
  const extents = message(2, ...shape.map((extent) => message(1, integer(1, extent))));
  return message(field, text(1, name), message(2, message(1, integer(1, FLOAT), extents)));
}

/** The bytes of a model with one float32 graph. */
export function onnxModel(graph: {
  readonly nodes: readonly OnnxNode[];
  readonly inputs: readonly OnnxValue[];
  readonly outputs: readonly OnnxValue[];
  readonly constants?: readonly OnnxConstant[];
}): Uint8Array {
  return join([
    integer(1, IR_VERSION),
    message(
      7,
      ...graph.nodes.map(node),
      text(2, "graph"),
      ...(graph.constants ?? []).map(constant),
      ...graph.inputs.map((input) => value(11, input)),
      ...graph.outputs.map((output) => value(12, output)),
    ),
    message(8, integer(2, OPSET)),
  ]);
}
