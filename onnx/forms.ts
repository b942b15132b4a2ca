// What each op is in ONNX, as PyTorch's exporter would write it. Ops are those that a forward pass really calls
// (`trace`), so what a backbone or a head is made of need not be known.

import { firstOf, json } from "../base/index.ts";
import { axisOf, type Graph, inOnnx, refuse } from "./graph.ts";
import type { Site } from "./site.ts";

type Form = (site: Site) => string;

type Attributes = Readonly<Record<string, json.Reader<unknown>>>;

/** A form of an op, and what it asks of the op's attributes. */
const form =
  <const A extends Attributes>(attributes: A, draw: (site: Site, attrs: json.Parts<A>) => string): Form =>
  (site) =>
    draw(site, json.parts(site.op.attrs, `export: ${site.op.name}`, attributes));

/** Numbers by name. */
const numbers = <const K extends string>(...names: readonly K[]): Readonly<Record<K, json.Reader<number>>> =>
  Object.fromEntries(names.map((name) => [name, json.finite])) as Record<K, json.Reader<number>>;

const PAIR: json.Reader<readonly [number, number]> = (value, place) => {
  const [a = Number.NaN, b = Number.NaN] = json.list(json.finite)(value, place);
  return [a, b];
};

type Unary = (site: Site, x: string) => string;
const plain =
  (type: string, attributes: Parameters<Graph["node"]>[2] = {}): Unary =>
  (site, x) =>
    site.node(type, [x], attributes);

const ACTIVATIONS: Readonly<Record<string, Unary>> = {
  none: (_, x) => x,
  relu: plain("Relu"),
  sigmoid: plain("Sigmoid"),
  tanh: plain("Tanh"),
  hardswish: plain("HardSwish"),
  hardsigmoid: plain("HardSigmoid", { alpha: { f: 1 / 6 }, beta: { f: 0.5 } }),
  silu: (site, x) => site.node("Mul", [x, site.node("Sigmoid", [x])]),
  gelu: (site, x) => {
    const { graph, node } = site;
    const inner = node("Erf", [node("Div", [x, graph.float(Math.SQRT2)])]);
    return node("Mul", [node("Mul", [x, node("Add", [inner, graph.float(1)])]), graph.float(0.5)]);
  },
};

const PLAIN: Readonly<Record<string, Unary>> = {
  exp: plain("Exp"),
  log: plain("Log"),
  sqrt: plain("Sqrt"),
  abs: plain("Abs"),
  neg: plain("Neg"),
};

function activated(site: Site, name: string, x: string): string {
  const draw = ACTIVATIONS[name];
  return draw ? draw(site, x) : refuse(site.op.name, `the activation ${name}`);
}

const FUSED = { activation: json.text, residual: json.oneOf(["none", "before", "after"]) };

type Fused = json.Parts<typeof FUSED>;

/** activation(y + residual), or activation(y) + residual. */
function fused(site: Site, y: string, { activation, residual }: Fused, addend: () => string): string {
  const inside = residual === "before" ? site.node("Add", [y, addend()]) : y;
  const active = activated(site, activation, inside);
  return residual === "after" ? site.node("Add", [active, addend()]) : active;
}

interface Window {
  readonly kh: number;
  readonly kw: number;
  readonly sh: number;
  readonly sw: number;
  readonly pt: number;
  readonly pl: number;
  readonly dh?: number;
  readonly dw?: number;
}

const NUMBERS = json.list(json.finite);

/** [top, left, bottom, right]: as much below and at the right as the windows reach. */
function padsOf(site: Site, { kh, kw, sh, sw, pt, pl, dh = 1, dw = 1 }: Window): number[] {
  const [, h = 0, w = 0] = site.shape(0);
  const [, oh = 0, ow = 0] = site.out;
  const rest = (out: number, stride: number, kernel: number, dilation: number, size: number, before: number) =>
    Math.max(0, (out - 1) * stride + (kernel - 1) * dilation + 1 - size - before);
  return [pt, pl, rest(oh, sh, kh, dh, h, pt), rest(ow, sw, kw, dw, w, pl)];
}

const GEOMETRY = json.record({ stride: PAIR, dilation: PAIR, ...numbers("top", "left", "groups") });

/** Our HWIO as PyTorch's OIHW. */
const OIHW = [3, 2, 0, 1];

const conv2d = form({ ...FUSED, geometry: GEOMETRY }, (site, { geometry, ...rest }) => {
  const { stride, dilation, top, left, groups } = geometry;
  const [kh = 1, kw = 1] = site.shape(1);
  const window = { kh, kw, sh: stride[0], sw: stride[1], pt: top, pl: left, dh: dilation[0], dw: dilation[1] };
  const y = site.node("Conv", [site.value(0), site.weight(1, OIHW), site.weight(2)], {
    dilations: dilation,
    group: groups,
    kernel_shape: [kh, kw],
    pads: padsOf(site, window),
    strides: stride,
  });
  return fused(site, y, rest, () => site.value(3));
});

/** Gemm on rows, as PyTorch has it; MatMul and Add on what has more axes. */
const linear = form(FUSED, (site, attrs) => {
  const rank = site.out.length;
  if (rank === 2) {
    const y = site.node("Gemm", [site.value(0), site.weight(1, [1, 0]), site.weight(2)], { transB: 1 });
    return fused(site, y, attrs, () => site.value(3));
  }
  const product = site.node("MatMul", [site.ours(0), site.weight(1)]);
  const y = site.has(2) ? site.node("Add", [product, site.weight(2)]) : product;
  return site.graph.fromOurs(
    fused(site, y, attrs, () => site.ours(3)),
    rank,
  );
});

const batchNorm = form(
  { eps: json.finite, activation: json.text, training: json.flag },
  (site, { eps, activation, training }) => {
    if (training) return refuse("batchNorm", "one in training");
    const inputs = [site.value(0), ...[1, 2, 3, 4].map((i) => site.weight(i))];
    const y = site.node("BatchNormalization", inputs, { epsilon: { f: eps } });
    const all = site.has(5) ? site.node("Add", [y, site.value(5)]) : y;
    return activated(site, activation, all);
  },
);

const layerNorm = form(numbers("eps", "len"), (site, { eps, len }) => {
  const rank = site.out.length;
  if (site.out.at(-1) !== len) return refuse("layerNorm", `one over ${len} values of [${site.out.join(", ")}]`);
  if (!site.has(1)) return refuse("layerNorm", "one without a weight");
  const inputs = [site.ours(0), site.weight(1), site.weight(2)];
  return site.graph.fromOurs(site.node("LayerNormalization", inputs, { axis: -1, epsilon: { f: eps } }), rank);
});

/** Instance norm of the groups, then weight and bias of the channels. */
const groupNorm = form(numbers("eps", "groups"), (site, { eps, groups }) => {
  const [, h = 1, w = 1, c = 1] = site.out;
  if (site.out.length !== 4) return refuse("groupNorm", `one of [${site.out.join(", ")}]`);
  const { graph } = site;
  const many = (value: number): string =>
    graph.weight({ name: `/Constant_${value}x${groups}`, shape: [groups], data: new Float32Array(groups).fill(value) });
  const grouped = site.node("Reshape", [site.value(0), graph.ints([0, groups, -1])]);
  const normed = site.node("InstanceNormalization", [grouped, many(1), many(0)], { epsilon: { f: eps } });
  const back = site.node("Reshape", [normed, graph.ints([0, c, h, w])]);
  const perChannel = (i: number) => graph.weight(site.constant(i), undefined, [c, 1, 1]);
  return site.node("Add", [site.node("Mul", [back, perChannel(1)]), perChannel(2)]);
});

const POOL = {
  ...numbers("h", "w", "kh", "kw", "sh", "sw", "pt", "pl"),
  dh: json.optional(json.finite),
  dw: json.optional(json.finite),
  includePad: json.optional(json.finite),
};

type Pool = json.Parts<typeof POOL>;

const pool = (site: Site, type: string, { h, w, includePad = 1, ...window }: Pool): string => {
  const { kh, kw, sh, sw, pt, pl, dh = 1, dw = 1 } = window;
  const pads = padsOf(site, window);
  const isAverage = type === "AveragePool";
  if (isAverage && kh === h && kw === w && pads.every((pad) => pad === 0))
    return site.node("GlobalAveragePool", [site.value(0)]);
  const [, , bottom = 0, right = 0] = pads;
  if (isAverage && includePad && (bottom > pt || right > pl))
    return refuse("avgPool2d", "one that counts padding and whose windows reach beyond it");
  return site.node(type, [site.value(0)], {
    ...(isAverage && { count_include_pad: includePad }),
    ...(dh * dw > 1 && { dilations: [dh, dw] }),
    kernel_shape: [kh, kw],
    pads,
    strides: [sh, sw],
  });
};

const avgPool2d = form({ adaptive: json.flag, dims: json.record(POOL) }, (site, { adaptive, dims }) => {
  const isOne = site.out[1] === 1 && site.out[2] === 1;
  if (adaptive && !isOne) return refuse("avgPool2d", "an adaptive one");
  return adaptive ? site.node("GlobalAveragePool", [site.value(0)]) : pool(site, "AveragePool", dims);
});

/** Rows of the batch stay rows. Where only one position or channel is there, both layouts lie alike. */
const reshape: Form = (site) => {
  const { graph, out } = site;
  const from = site.shape(0);
  if (out[0] !== from[0])
    return refuse("reshape", `one that moves the batch, [${from.join(", ")}] to [${out.join(", ")}]`);
  const [, h = 1, w = 1, c = 1] = from;
  const liesAlike = from.length !== 4 || h * w === 1 || c === 1;
  const x = liesAlike ? site.value(0) : site.ours(0);
  if (out.length === 2) return site.node("Flatten", [x], { axis: 1 });
  return graph.fromOurs(site.node("Reshape", [x, graph.ints([0, ...out.slice(1)])]), out.length);
};

const RANGE = json.record(numbers("start", "step", "count"));

const slice = form({ ranges: json.list(RANGE) }, (site, { ranges }) => {
  const { graph } = site;
  const rank = ranges.length;
  const cut = ranges.flatMap((range, axis) => {
    const isAll = range.start === 0 && range.step === 1 && range.count === site.shape(0)[axis];
    return isAll ? [] : [{ ...range, axis }];
  });
  if (cut.some(({ axis, step }) => axis === 0 || step < 1)) return refuse("slice", "one of the batch, or backwards");
  if (cut.length === 0) return site.value(0);
  return site.node("Slice", [
    site.value(0),
    graph.ints(cut.map(({ start }) => start)),
    graph.ints(cut.map(({ start, step, count }) => start + step * (count - 1) + 1)),
    graph.ints(cut.map(({ axis }) => axisOf(axis, rank))),
    graph.ints(cut.map(({ step }) => step)),
  ]);
});

const pad = form({ lo: NUMBERS, step: NUMBERS, value: json.number }, (site, { lo, step, value }) => {
  if (step.some((each) => each !== 1)) return refuse("pad", "one between values");
  const hi = site.out.map((extent, axis) => extent - site.shape(0)[axis]! - lo[axis]!);
  const { graph } = site;
  return site.node("Pad", [site.value(0), graph.ints([...inOnnx(lo), ...inOnnx(hi)]), graph.float(value)], {
    mode: "constant",
  });
});

const concat = form(numbers("axis"), (site, { axis }) => {
  if (axis === 0) return refuse("concat", "one of batches");
  const parts = site.op.inputs.map((_, i) => site.value(i));
  return parts.length === 1 ? firstOf(parts) : site.node("Concat", parts, { axis: axisOf(axis, site.out.length) });
});

/** A weight for every sample. */
const expand: Form = (site) => {
  const { graph, out } = site;
  const constant = site.constant(0);
  const isOnce = constant.shape[0] === 1 && constant.shape.every((extent, axis) => axis === 0 || extent === out[axis]);
  if (!isOnce || out.length === 4) return refuse("expand", `[${constant.shape.join(", ")}] to [${out.join(", ")}]`);
  const shape = site.node("Concat", [site.batch(), graph.ints(out.slice(1))], { axis: 0 });
  return site.node("Expand", [site.weight(0), shape]);
};

/** Image by image [B, T, 3D], heads side by side, as queries, keys and values. */
const qkvAttention = form(
  { causal: json.flag, dims: json.record(numbers("heads", "dim", "scale")) },
  (site, { causal, dims }) => {
    if (causal) return refuse("qkvAttention", "a causal one");
    const { graph, node } = site;
    const [, tokens = 1, width = 1] = site.out;
    const { heads, dim, scale } = dims;
    const part = (i: number, perm: readonly number[]) => {
      const bounds = [[i * width], [(i + 1) * width], [2], [1]].map((values) => graph.ints(values));
      const split = node("Reshape", [node("Slice", [site.value(0), ...bounds]), graph.ints([0, tokens, heads, dim])]);
      return node("Transpose", [split], { perm });
    };
    const scores = node("Mul", [node("MatMul", [part(0, [0, 2, 1, 3]), part(1, [0, 2, 3, 1])]), graph.float(scale)]);
    const mixed = node("MatMul", [node("Softmax", [scores], { axis: -1 }), part(2, [0, 2, 1, 3])]);
    return node("Reshape", [node("Transpose", [mixed], { perm: [0, 2, 1, 3] }), graph.ints([0, tokens, width])]);
  },
);

const reduction = (op: string, type: string): Form =>
  form({ axes: NUMBERS, keepdim: json.flag }, (site, { axes, keepdim }) => {
    const rank = site.shape(0).length;
    const isLeft = (axis: number) => !axes.includes(axis);
    if (!isLeft(0)) return refuse(op, "one over the batch");
    // What is left of three axes beside the batch has no layout of its own.
    if (rank === 4 && !keepdim && [1, 2, 3].filter(isLeft).length > 1)
      return refuse(op, "one that leaves two axes of an image");
    const inputs = [site.value(0), site.graph.ints(axes.map((axis) => axisOf(axis, rank)))];
    return site.node(type, inputs, { keepdims: Number(keepdim) });
  });

const softmax = form({ axis: json.count }, (site, { axis }) => {
  if (axis === 0) return refuse("softmax", "one over the batch");
  return site.node("Softmax", [site.value(0)], { axis: axisOf(axis, site.out.length) });
});

const RESIZED = {
  mode: json.text,
  dims: json.record(numbers("h", "w", "oh", "ow", "stepH", "offsetH", "unitH", "stepW", "offsetW", "unitW")),
};

const interpolate = form(RESIZED, (site, { mode, dims }) => {
  const isCentred = (step: number, offset: number, unit: number, size: number, out: number) =>
    Math.abs(step / unit - size / out) < 1e-9 && Math.abs(offset / unit - (size / out - 1) / 2) < 1e-9;
  const { h, w, oh, ow, stepH, offsetH, unitH, stepW, offsetW, unitW } = dims;
  const isKnown = isCentred(stepH, offsetH, unitH, h, oh) && isCentred(stepW, offsetW, unitW, w, ow);
  if (mode !== "bilinear" || !isKnown) return refuse("interpolate", `mode ${mode}, or corners on corners`);
  return site.node("Resize", [site.value(0), "", "", site.graph.ints([oh, ow])], {
    axes: [2, 3],
    coordinate_transformation_mode: "half_pixel",
    mode: "linear",
  });
});

/** Operand `i` of a pointwise op, ready to be broadcast in ONNX's layout. */
function operand(site: Site, i: number, numbers: readonly (number | undefined)[]): string {
  const number = numbers[i];
  if (typeof number === "number") return site.graph.float(number);
  const rank = site.out.length;
  if (!site.isConstant(i)) {
    if (site.shape(i).length !== rank)
      return refuse(site.op.name, `operands of ${site.shape(i).length} and ${rank} axes`);
    return site.value(i);
  }
  const constant = site.constant(i);
  const wide = { ...constant, shape: [...new Array<number>(rank - constant.shape.length).fill(1), ...constant.shape] };
  if (rank !== 4 || constant.data.length === 1) return site.graph.weight(constant);
  const order = [0, 3, 1, 2];
  return site.graph.weight(wide, order);
}

const binary = (type: string): Form =>
  form({ numbers: json.list((value) => (typeof value === "number" ? value : undefined)) }, (site, { numbers }) =>
    site.node(type, [operand(site, 0, numbers), operand(site, 1, numbers)]),
  );

/** By the op's name. */
const FORMS: Readonly<Record<string, Form>> = {
  ...{
    conv2d,
    linear,
    batchNorm,
    layerNorm,
    groupNorm,
    avgPool2d,
    reshape,
    slice,
    pad,
    concat,
    expand,
    qkvAttention,
    softmax,
  },
  mean: reduction("mean", "ReduceMean"),
  sum: reduction("sum", "ReduceSum"),
  interpolate,
  maxPool2d: form(POOL, (site, attrs) => pool(site, "MaxPool", attrs)),
  add: binary("Add"),
  sub: binary("Sub"),
  mul: binary("Mul"),
  div: binary("Div"),
  ...Object.fromEntries(
    Object.entries({ ...ACTIVATIONS, ...PLAIN }).map(([name, draw]) => [
      name,
      (site: Site) => draw(site, site.value(0)),
    ]),
  ),
};

/** Draws the form of an op; the name of its result, in ONNX's layout. @throws SortieError for an op that has none. */
export function draw(site: Site): string {
  const { name } = site.op;
  const form = Object.hasOwn(FORMS, name) ? FORMS[name] : undefined;
  return form ? form(site) : refuse("every op", name);
}
