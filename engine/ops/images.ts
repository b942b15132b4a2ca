// Images as bytes on the way in: unpacked, mirrored and normalised on the GPU in one dispatch.

import type { Kinds } from "../../base/index.ts";
import { normaliseImagesKernel as kernel } from "../../kernels/image.ts";
import { checkIs } from "../checks.ts";
import { ArgumentError, DTypeError, readOptions, ShapeError } from "../errors.ts";
import { defineOp, dispatch, single } from "../op.ts";
import { checkList, describe, numel, type Shape } from "../shape.ts";
import { positional } from "../signature.ts";
import { checkDevice, checkTensors, type Tensor, tensor } from "../tensor.ts";

/** Options of `normaliseImages`. */
export interface NormaliseOptions {
  /** [B, H, W, C] */
  readonly shape: Shape;
  /** Of each channel, for values in 0..1. */
  readonly mean: readonly number[];
  readonly std: readonly number[];
  /** [B], bool or u32: images to mirror left to right. */
  readonly flips?: Tensor | undefined;
  /** Where the images go, f32 of this shape, instead of a tensor of their own. */
  readonly into?: Tensor | undefined;
}

const NORMALISE: Kinds<NormaliseOptions> = { shape: "any!", mean: "any!", std: "any!", flips: "any", into: "any" };

/** Words that hold the bytes of images [B, H, W, C]: what `normaliseImages` takes. */
export const packedWords = (shape: Shape): number => Math.ceil(numel(shape) / 4);

interface Attrs {
  readonly shape: Shape;
  readonly dims: Readonly<Record<"n" | "width" | "channels" | "pixels", number>>;
}

const op = single(
  defineOp({
    name: "normaliseImages",
    operands: { bytes: "u32", affine: "f32", "flips?": "bool|u32" },
    infer: (_, { shape }: Attrs) => ({ y: { shape, dtype: "f32" } }),
    run: ({ inputs, outputs, attrs: { dims }, dispatch }) =>
      dispatch(kernel, { flips: !!inputs.flips }, { ...inputs, ...outputs }, dims),
  }),
);

/**
 * `(byte / 255 - mean) / std` of images given as bytes, four to a word in the order of the shape (u32, little-endian,
 * as a Uint32Array on the bytes has them): f32 [B, H, W, C], `into` if it is given. No gradient.
 */
export const normaliseImages = positional(
  "normaliseImages(bytes, options)",
  (bytes: Tensor, options: NormaliseOptions): Tensor => {
    const name = "normaliseImages";
    const { shape, mean, std, flips, into } = readOptions(name, options, NORMALISE);
    checkTensors(name, { bytes, "flips?": flips, "into?": into });
    for (const [what, list] of Object.entries({ shape, mean, std })) checkList(name, what, list);
    const [batch, height = 0, width = 0, channels = 0] = shape;
    if (shape.length !== 4) throw new ShapeError(`${name}: the shape must be [B, H, W, C]; got [${shape.join(", ")}].`);
    if (bytes.dtype !== "u32") throw new DTypeError(`${name}: bytes must be packed in u32; got ${describe(bytes)}.`);
    if (bytes.size !== packedWords(shape)) {
      throw new ShapeError(
        `${name}: images [${shape.join(", ")}] must come in ${packedWords(shape)} words; got ${describe(bytes)}.`,
      );
    }
    const isFit = mean.length === channels && std.length === channels && std.every((x) => x > 0);
    if (!isFit) {
      throw new ArgumentError(
        `${name}: mean and std must have ${channels} numbers, std positive ones; got [${mean.join(", ")}] and [${std.join(", ")}].`,
      );
    }
    if (flips && (flips.rank !== 1 || flips.size !== batch || (flips.dtype !== "bool" && flips.dtype !== "u32"))) {
      throw new ShapeError(`${name}: flips must be bool [${batch}]; got ${describe(flips)}.`);
    }
    if (into) checkDevice(name, into, bytes.device);
    checkIs(name, "into", into, { shape, dtype: "f32" });
    const affine = mean.flatMap((m, c) => [1 / (255 * std[c]!), -m / std[c]!]);
    const factors = tensor(Float32Array.from(affine), { device: bytes.device });
    const inputs = { bytes, affine: factors, flips };
    const dims = { n: numel(shape), width, channels, pixels: height * width * channels };
    const y = into ?? op(inputs, { shape, dims });
    if (into) dispatch(y.device, name, kernel, { flips: !!flips }, { ...inputs, y }, dims);
    factors.dispose();
    return y;
  },
);
