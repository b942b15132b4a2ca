// The nets in float64 on the CPU with reverse-mode gradients: the reference that every engine is held to.
// Plain loops over typed arrays; slow, and independent of any engine.

import { accumulate, gelu, geluSlope, rowTimes, rowTimesBackward, standardise } from "./math64.ts";
import type { NetOps } from "./nets.ts";

/** A value on the tape: data, its gradient once asked for, and how to pass that on. */
export class Value {
  readonly shape: readonly number[];
  readonly data: Float64Array;
  readonly backward: ((g: Float64Array) => void) | undefined;
  #grad: Float64Array | undefined;

  constructor(shape: readonly number[], data: Float64Array, backward?: (g: Float64Array) => void) {
    this.shape = shape;
    this.data = data;
    this.backward = backward;
  }

  /** The gradient so far, zero at first. */
  get grad(): Float64Array {
    this.#grad ??= new Float64Array(this.data.length);
    return this.#grad;
  }
}

interface ConvGeometry {
  readonly pixels: number;
  /** Calls `visit` with the offsets of an output pixel, of an input pixel and of the tap's weights. */
  readonly each: (visit: (y: number, x: number, w: number) => void) => void;
}

/** All (output pixel, input pixel, tap) triples of a convolution, padding left out. */
function geometry(
  x: readonly number[],
  w: readonly number[],
  stride: number,
  pad: number,
  oh: number,
  ow: number,
): ConvGeometry {
  const [n = 0, height = 0, width = 0, c = 0] = x;
  const [k = 0, , , o = 0] = w;
  return {
    pixels: n * oh * ow,
    each(visit) {
      for (let p = 0; p < n * oh * ow; p++) {
        const [ox, oy, b] = [p % ow, Math.floor(p / ow) % oh, Math.floor(p / (ow * oh))];
        for (let tap = 0; tap < k * k; tap++) {
          const row = oy * stride - pad + Math.floor(tap / k);
          const col = ox * stride - pad + (tap % k);
          if (row < 0 || row >= height || col < 0 || col >= width) continue;
          visit(p * o, ((b * height + row) * width + col) * c, tap * c * o);
        }
      }
    },
  };
}

/** The nets' operations in float64, recorded for `backward`. */
export class Float64Ops implements NetOps<Value> {
  readonly #params: ReadonlyMap<string, Value>;
  readonly #training: boolean;
  readonly #tape: Value[] = [];

  constructor(params: ReadonlyMap<string, Value>, training: boolean) {
    this.#params = params;
    this.#training = training;
  }

  #param(name: string): Value {
    const found = this.#params.get(name);
    if (!found) throw new Error(`bench: no parameter "${name}"`);
    return found;
  }

  #record(shape: readonly number[], data: Float64Array, backward: (g: Float64Array) => void): Value {
    const value = new Value(shape, data, backward);
    if (this.#training) this.#tape.push(value);
    return value;
  }

  /** Passes gradients back through everything recorded, from the last value on. */
  backward(): void {
    for (const value of this.#tape.toReversed()) value.backward?.(value.grad);
  }

  conv(x: Value, name: string, { stride, pad }: { readonly stride: number; readonly pad: number }): Value {
    const w = this.#param(`${name}.weight`);
    const [n = 0, h = 0, width = 0, c = 0] = x.shape;
    const [k = 0, , , o = 0] = w.shape;
    const [oh, ow] = [h, width].map((size) => Math.floor((size + 2 * pad - k) / stride) + 1) as [number, number];
    const taps = geometry(x.shape, w.shape, stride, pad, oh, ow);
    const y = new Float64Array(taps.pixels * o);
    taps.each((yo, xo, wo) => rowTimes(x.data, xo, c, w.data, wo, o, y, yo));
    return this.#record([n, oh, ow, o], y, (g) =>
      taps.each((yo, xo, wo) => rowTimesBackward(x.data, xo, c, w.data, wo, o, g, yo, x.grad, w.grad)),
    );
  }

  /** hat * weight + bias over the last axis, then residual and relu. */
  #affine(
    shape: readonly number[],
    hat: Float64Array,
    name: string,
    residual: Value | undefined,
    relu: boolean,
    backward: (g: Float64Array) => void,
  ): Value {
    const [weight, bias] = [this.#param(`${name}.weight`), this.#param(`${name}.bias`)];
    const c = weight.data.length;
    const y = hat.map((v, i) => {
      const out = v * (weight.data[i % c] as number) + (bias.data[i % c] as number) + (residual?.data[i] ?? 0);
      return relu ? Math.max(0, out) : out;
    });
    return this.#record(shape, y, (g) => {
      const passed = relu ? g.map((v, i) => ((y[i] as number) > 0 ? v : 0)) : g;
      if (residual) accumulate(residual.grad, passed);
      for (let i = 0; i < passed.length; i++) {
        weight.grad[i % c] = (weight.grad[i % c] as number) + (passed[i] as number) * (hat[i] as number);
        bias.grad[i % c] = (bias.grad[i % c] as number) + (passed[i] as number);
      }
      backward(passed.map((v, i) => v * (weight.data[i % c] as number)));
    });
  }

  batchNorm(x: Value, name: string, options: { readonly residual?: Value; readonly relu?: boolean } = {}): Value {
    const c = x.shape.at(-1) ?? 1;
    const { residual, relu = false } = options;
    if (!this.#training) {
      const [mean, variance] = [this.#param(`${name}.mean`).data, this.#param(`${name}.var`).data];
      const hat = x.data.map((v, i) => (v - (mean[i % c] as number)) / Math.sqrt((variance[i % c] as number) + 1e-5));
      return this.#affine(x.shape, hat, name, residual, relu, () => {});
    }
    const { hat, backward } = standardise(x.data, c, x.data.length / c, 1e-5, (ch, p) => p * c + ch);
    return this.#affine(x.shape, hat, name, residual, relu, (g) => backward(g, x.grad));
  }

  layerNorm(x: Value, name: string): Value {
    const d = x.shape.at(-1) ?? 1;
    const { hat, backward } = standardise(x.data, x.data.length / d, d, 1e-6, (row, j) => row * d + j);
    return this.#affine(x.shape, hat, name, undefined, false, (g) => backward(g, x.grad));
  }

  globalAvgPool(x: Value): Value {
    const [n = 0, h = 0, w = 0, c = 0] = x.shape;
    const y = new Float64Array(n * c);
    const home = (i: number) => Math.floor(i / (h * w * c)) * c + (i % c);
    x.data.forEach((v, i) => {
      y[home(i)] = (y[home(i)] as number) + v / (h * w);
    });
    return this.#record([n, c], y, (g) => {
      const dx = x.grad;
      for (let i = 0; i < dx.length; i++) dx[i] = (dx[i] as number) + (g[home(i)] as number) / (h * w);
    });
  }

  linear(x: Value, name: string, options: { readonly gelu?: boolean; readonly residual?: Value } = {}): Value {
    const [w, bias] = [this.#param(`${name}.weight`), this.#param(`${name}.bias`)];
    const [k = 0, n = 0] = w.shape;
    const rows = x.data.length / k;
    const sum = new Float64Array(rows * n).map((_, i) => bias.data[i % n] as number);
    for (let row = 0; row < rows; row++) rowTimes(x.data, row * k, k, w.data, 0, n, sum, row * n);
    const { residual } = options;
    const y = sum.map((v, i) => (options.gelu ? gelu(v) : v) + (residual?.data[i] ?? 0));
    return this.#record([...x.shape.slice(0, -1), n], y, (g) => {
      if (residual) accumulate(residual.grad, g);
      const before = options.gelu ? g.map((v, i) => v * geluSlope(sum[i] as number)) : g;
      before.forEach((v, i) => {
        bias.grad[i % n] = (bias.grad[i % n] as number) + v;
      });
      for (let row = 0; row < rows; row++) {
        rowTimesBackward(x.data, row * k, k, w.data, 0, n, before, row * n, x.grad, w.grad);
      }
    });
  }

  embed(x: Value, { patch }: { readonly patch: number }): Value {
    const patches = this.conv(x, "patch", { stride: patch, pad: 0 });
    const [bias, cls, pos] = [this.#param("patch.bias"), this.#param("cls"), this.#param("pos")];
    const [n = 0, h = 0, w = 0, d = 0] = patches.shape;
    const size = (h * w + 1) * d;
    const y = new Float64Array(n * size).map((_, i) => {
      const within = i % size;
      const token =
        within < d
          ? (cls.data[within] as number)
          : (patches.data[Math.floor(i / size) * (size - d) + within - d] as number) + (bias.data[i % d] as number);
      return token + (pos.data[within] as number);
    });
    return this.#record([n, h * w + 1, d], y, (g) => {
      g.forEach((v, i) => {
        const within = i % size;
        pos.grad[within] = (pos.grad[within] as number) + v;
        if (within < d) cls.grad[within] = (cls.grad[within] as number) + v;
        else {
          bias.grad[i % d] = (bias.grad[i % d] as number) + v;
          patches.grad[Math.floor(i / size) * (size - d) + within - d] = v;
        }
      });
    });
  }

  attention(qkv: Value, heads: number): Value {
    const [n = 0, t = 0, d3 = 0] = qkv.shape;
    const d = d3 / 3;
    const width = d / heads;
    const scale = 1 / Math.sqrt(width);
    const y = new Float64Array(n * t * d);
    const weights = new Float64Array(n * heads * t * t);
    const dot = (a: Float64Array, ao: number, b: Float64Array, bo: number) => {
      let sum = 0;
      for (let i = 0; i < width; i++) sum += (a[ao + i] as number) * (b[bo + i] as number);
      return sum;
    };
    /** Visits (weight row, query offset, key offset of token 0, output offset); values lie `d` after keys. */
    const each = (visit: (p: number, q: number, k0: number, o: number) => void) => {
      for (let bh = 0; bh < n * heads; bh++) {
        const [b, head] = [Math.floor(bh / heads), bh % heads];
        const start = b * t * d3 + head * width;
        for (let i = 0; i < t; i++) visit((bh * t + i) * t, start + i * d3, start + d, (b * t + i) * d + head * width);
      }
    };
    each((p, q, k0, o) => {
      const row = weights.subarray(p, p + t);
      for (let j = 0; j < t; j++) row[j] = Math.exp(scale * dot(qkv.data, q, qkv.data, k0 + j * d3));
      const total = row.reduce((a, v) => a + v, 0);
      for (let j = 0; j < t; j++) {
        row[j] = (row[j] as number) / total;
        for (let e = 0; e < width; e++) {
          y[o + e] = (y[o + e] as number) + (row[j] as number) * (qkv.data[k0 + d + j * d3 + e] as number);
        }
      }
    });
    return this.#record([n, t, d], y, (g) => {
      const dx = qkv.grad;
      const dw = new Float64Array(t);
      each((p, q, k0, o) => {
        let mean = 0;
        for (let j = 0; j < t; j++) {
          dw[j] = dot(g, o, qkv.data, k0 + d + j * d3);
          mean += (dw[j] as number) * (weights[p + j] as number);
        }
        for (let j = 0; j < t; j++) {
          const weight = weights[p + j] as number;
          const ds = scale * weight * ((dw[j] as number) - mean);
          const key = k0 + j * d3;
          for (let e = 0; e < width; e++) {
            dx[q + e] = (dx[q + e] as number) + ds * (qkv.data[key + e] as number);
            dx[key + e] = (dx[key + e] as number) + ds * (qkv.data[q + e] as number);
            dx[key + d + e] = (dx[key + d + e] as number) + weight * (g[o + e] as number);
          }
        }
      });
    });
  }

  firstToken(x: Value): Value {
    const [n = 0, t = 0, d = 0] = x.shape;
    const y = new Float64Array(n * d).map((_, i) => x.data[Math.floor(i / d) * t * d + (i % d)] as number);
    return this.#record([n, d], y, (g) => {
      g.forEach((v, i) => {
        x.grad[Math.floor(i / d) * t * d + (i % d)] = v;
      });
    });
  }

  /** Mean cross-entropy; its gradient goes into the logits at once. */
  crossEntropy(logits: Value, labels: Int32Array): number {
    const classes = logits.shape.at(-1) ?? 1;
    let total = 0;
    labels.forEach((label, row) => {
      const values = logits.data.subarray(row * classes, (row + 1) * classes);
      const lse = Math.log(values.reduce((sum, v) => sum + Math.exp(v), 0));
      total += lse - (values[label] as number);
      values.forEach((v, j) => {
        logits.grad[row * classes + j] = (Math.exp(v - lse) - (j === label ? 1 : 0)) / labels.length;
      });
    });
    return total / labels.length;
  }
}
