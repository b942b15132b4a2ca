// Resizing of NHWC images [B, H, W, C] (or one image [H, W, C]).

import type { Checked, Kinds } from "../../base/index.ts";
import { type ResizeSpec, resize, resizeBackward, resizePositions } from "../../kernels/resize.ts";
import { ABOVE_ZERO, COUNT, FINITE, type Pair, pairOf } from "../checks.ts";
import { ArgumentError, checkOneOf, readOptions, ShapeError } from "../errors.ts";
import { defineOp, single } from "../op.ts";
import { type Described, describe } from "../shape.ts";
import { positional } from "../signature.ts";
import type { Tensor } from "../tensor.ts";
import { floatStorage } from "./floats.ts";
import { imageOf, resized } from "./pool.ts";

/** The new size, as `size` or as a `scale` of the old one (sizes round down). */
export interface InterpolateOptions {
  readonly size?: Pair;
  readonly scale?: Pair;
  /** Default "nearest". */
  readonly mode?: "nearest" | "bilinear";
  /** Bilinear: map corners to corners, instead of edges to edges. Default false. */
  readonly alignCorners?: boolean;
}

const OPTIONS: Kinds<InterpolateOptions> = { size: "any", scale: "any", mode: "string", alignCorners: "boolean" };

type Dims = Parameters<typeof resize.grid>[0];
type Attrs = { readonly mode: "nearest" | "bilinear"; readonly dims: Dims };

const specOf = (x: Described, { mode, dims }: Attrs): ResizeSpec => {
  return { mode, width: dims.c % 4 === 0 ? 4 : 1, dtype: floatStorage(x) };
};

const gradient: (inputs: { readonly g: Tensor }, attrs: Attrs & { readonly to: Described }) => Tensor = single(
  defineOp({
    name: "interpolateBackward",
    operands: { g: "float" },
    infer: (_, { to }: Attrs & { readonly to: Described }) => ({ dx: to }),
    run: ({ inputs: { g }, outputs: { dx }, attrs, dispatch }) =>
      dispatch(resizeBackward, specOf(attrs.to, attrs), { g, dx }, attrs.dims),
    saves: [],
    vjp: (h, { attrs: { mode, dims } }) => ({ g: () => interpolateOp({ x: h }, { mode, dims }) }),
  }),
);

const interpolateOp = single(
  defineOp({
    name: "interpolate",
    operands: { x: "float" },
    infer: ({ x }, { dims }: Attrs) => ({ y: resized(x, dims.oh, dims.ow) }),
    run: ({ inputs: { x }, outputs: { y }, attrs, dispatch }) =>
      dispatch(resize, specOf(x, attrs), { x, y }, attrs.dims),
    saves: [],
    vjp: (g, at) => ({ x: () => gradient({ g }, { ...at.attrs, to: at.described("x") }) }),
  }),
);

const POSITIVE: Checked = { must: "a positive number", fits: (x) => FINITE.fits(x) && ABOVE_ZERO.fits(x) };

/** The image at another size; positions as in torch.nn.functional.interpolate (half-pixel centres, edges clamped). */
export const interpolate = positional("interpolate(x, options)", (x: Tensor, options: InterpolateOptions): Tensor => {
  const { n, h, w, c } = imageOf("interpolate", x);
  const { size, scale, mode = "nearest", alignCorners = false } = readOptions("interpolate", options, OPTIONS);
  checkOneOf("interpolate", "mode", mode, ["nearest", "bilinear"]);
  if (alignCorners && mode === "nearest")
    throw new ArgumentError("interpolate: alignCorners goes with mode bilinear; got nearest.");
  if ((size === undefined) === (scale === undefined)) {
    throw new ArgumentError(
      `interpolate: size or scale must be given; got ${size === undefined ? "neither" : "both"}.`,
    );
  }
  const scales = scale === undefined ? [] : pairOf("interpolate", "scale", scale, POSITIVE);
  const [oh, ow] =
    size === undefined
      ? [Math.floor(h * scales[0]!), Math.floor(w * scales[1]!)]
      : pairOf("interpolate", "size", size, COUNT);
  if (h * w === 0 || oh * ow === 0) {
    throw new ShapeError(
      `interpolate: both images must have rows and columns; got ${describe(x)} for the size [${oh}, ${ow}].`,
    );
  }
  const along = (extent: number, out: number, axis: 0 | 1) => {
    const given = scales[axis];
    return resizePositions(extent, out, { mode, alignCorners, ...(given !== undefined && { scale: given }) });
  };
  const [p, q] = [along(h, oh, 0), along(w, ow, 1)];
  const positions = {
    stepH: p.step,
    offsetH: p.offset,
    unitH: p.unit,
    stepW: q.step,
    offsetW: q.offset,
    unitW: q.unit,
  };
  return interpolateOp({ x }, { mode, dims: { n, h, w, c, oh, ow, ...positions } });
});
