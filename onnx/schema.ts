// The messages of ONNX that an export is made of, on ONNX's own schema: what they hold is checked by the compiler here,
// and encoded by the schema's descriptor. Fields that nobody writes are left out.

import { create, type Message, type MessageInitShape, toBinary } from "@bufbuild/protobuf";
import { fileDesc, type GenMessage } from "@bufbuild/protobuf/codegenv2";
import { SortieError } from "../base/index.ts";
import { ONNX_PROTO } from "./descriptor.ts";

/** Element types of tensors. */
const TYPE = { float: 1, int64: 7 } as const;
/** Kinds of attributes. */
const ATTRIBUTE = { float: 1, int: 2, string: 3, floats: 6, ints: 7 } as const;

type TensorProto = Message<"onnx.TensorProto"> & {
  name: string;
  dims: bigint[];
  dataType: number;
  rawData: Uint8Array;
};
type AttributeProto = Message<"onnx.AttributeProto"> & {
  name: string;
  type: number;
  f: number;
  i: bigint;
  s: Uint8Array;
  floats: number[];
  ints: bigint[];
};
type NodeProto = Message<"onnx.NodeProto"> & {
  name: string;
  opType: string;
  input: string[];
  output: string[];
  attribute: AttributeProto[];
};
type Dimension = Message<"onnx.TensorShapeProto.Dimension"> & {
  value:
    | { case: "dimValue"; value: bigint }
    | { case: "dimParam"; value: string }
    | { case: undefined; value?: undefined };
};
type TensorShape = Message<"onnx.TensorShapeProto"> & { dim: Dimension[] };
type TensorType = Message<"onnx.TypeProto.Tensor"> & { elemType: number; shape?: TensorShape };
type TypeProto = Message<"onnx.TypeProto"> & {
  value: { case: "tensorType"; value: TensorType } | { case: undefined; value?: undefined };
};
type ValueInfoProto = Message<"onnx.ValueInfoProto"> & { name: string; type?: TypeProto };
type GraphProto = Message<"onnx.GraphProto"> & {
  name: string;
  node: NodeProto[];
  initializer: TensorProto[];
  input: ValueInfoProto[];
  output: ValueInfoProto[];
};
type StringStringEntryProto = Message<"onnx.StringStringEntryProto"> & { key: string; value: string };
type OperatorSetIdProto = Message<"onnx.OperatorSetIdProto"> & { domain: string; version: bigint };
type ModelProto = Message<"onnx.ModelProto"> & {
  irVersion: bigint;
  opsetImport: OperatorSetIdProto[];
  producerName: string;
  producerVersion: string;
  graph?: GraphProto;
  metadataProps: StringStringEntryProto[];
};

const file = fileDesc(ONNX_PROTO);

function messageOf<M extends Message>(name: M["$typeName"]): GenMessage<M> {
  const found = file.messages.find(({ typeName }) => typeName === name);
  if (found) return found as GenMessage<M>;
  throw new SortieError(`onnx: the schema must hold ${name}; it does not.`);
}

const MODEL = messageOf<ModelProto>("onnx.ModelProto");

type Init<M extends Message> = MessageInitShape<GenMessage<M>>;
/** One operation of a graph. */
export type Node = Init<NodeProto>;
/** A constant of a graph. */
export type Initializer = Init<TensorProto>;
/** An input or output of a graph. */
export type ValueInfo = Init<ValueInfoProto>;

/** An attribute of an operation: whole numbers are ints. Those that ONNX wants as floats are given as `{ f }`. */
export type Attribute = number | string | readonly number[] | { readonly f: number };

/** Attributes by name. */
export function attributesOf(values: Readonly<Record<string, Attribute>>): Init<AttributeProto>[] {
  return Object.entries(values).map(([name, value]) => {
    if (typeof value === "string") return { name, type: ATTRIBUTE.string, s: new TextEncoder().encode(value) };
    if (typeof value === "number") return { name, type: ATTRIBUTE.int, i: BigInt(value) };
    if ("f" in value) return { name, type: ATTRIBUTE.float, f: value.f };
    return { name, type: ATTRIBUTE.ints, ints: value.map(BigInt) };
  });
}

/** A constant of floats, or of whole numbers. */
export function initializerOf(
  name: string,
  shape: readonly number[],
  values: Float32Array | readonly number[],
): Initializer {
  const isFloat = values instanceof Float32Array;
  const data = isFloat ? values.slice() : BigInt64Array.from(values, BigInt);
  return {
    name,
    dims: shape.map(BigInt),
    dataType: isFloat ? TYPE.float : TYPE.int64,
    rawData: new Uint8Array(data.buffer),
  };
}

/** What goes in or comes out: floats, whose first axis is the batch, of whatever size. */
export const valueInfo = (name: string, shape: readonly number[]): ValueInfo => ({
  name,
  type: {
    value: {
      case: "tensorType",
      value: {
        elemType: TYPE.float,
        shape: {
          dim: [
            { value: { case: "dimParam", value: "batch" } },
            ...shape.map((extent) => ({ value: { case: "dimValue" as const, value: BigInt(extent) } })),
          ],
        },
      },
    },
  },
});

/** A graph, and what its file says besides. */
export interface OnnxModel {
  readonly name: string;
  readonly nodes: readonly Node[];
  readonly initializers: readonly Initializer[];
  readonly inputs: readonly ValueInfo[];
  readonly outputs: readonly ValueInfo[];
  readonly metadata: Readonly<Record<string, string>>;
  readonly version: string;
}

/** The operators' version, as PyTorch's exporter has it by default, and the version of the format that goes with it. */
const [OPSET, IR] = [18n, 8n];

/** The bytes of an ONNX file. */
export function encodeOnnx({ name, nodes, initializers, inputs, outputs, metadata, version }: OnnxModel): Uint8Array {
  const model = create(MODEL, {
    irVersion: IR,
    opsetImport: [{ domain: "", version: OPSET }],
    producerName: "sortie",
    producerVersion: version,
    graph: { name, node: [...nodes], initializer: [...initializers], input: [...inputs], output: [...outputs] },
    metadataProps: Object.entries(metadata).map(([key, value]) => ({ key, value })),
  });
  return toBinary(MODEL, model);
}
