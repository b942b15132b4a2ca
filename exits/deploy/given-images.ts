// Images that a caller gives to be classified, on their way to the GPU.

import { firstOf } from "../../base/index.ts";
import {
  ArgumentError,
  copyInto,
  type Device,
  elementwise,
  keep,
  max,
  noGrad,
  normaliseImages,
  numel,
  pad,
  reshape,
  scope,
  slice,
  Tensor,
  tensor,
} from "../../engine/functions.ts";
import { type GivenImages, giveHost } from "./host-batches.ts";
import { checkImages, copyImages, type Normalisation, type PixelImages, type PixelSite } from "./images.ts";

/** What images are for. */
export interface ImageSite extends PixelSite {
  readonly device: Device;
  readonly batch: number;
}

/** NaN and infinities by their bits, whatever a compiler takes for granted. */
const notFinite = elementwise({
  name: "notFinite",
  operands: ["x"],
  y: "select(T(0.0), T(1.0), (bitcast<U>(x) & U(0x7f800000u)) == U(0x7f800000u))",
});

/** Takes images. @throws ArgumentError for images that the network does not take. */
export function takeImages(given: PixelImages, site: ImageSite): GivenImages {
  if (given instanceof Tensor) return takeTensor(given, site);
  const { device, input, normalise } = site;
  return giveHost(copyImages(given, site), input, (batch, bytes) => {
    const { mean, std } = normalise as Normalisation;
    normaliseImages(tensor(bytes, { device }), { mean, std, shape: batch.shape, into: batch });
  });
}

function takeTensor(images: Tensor, { device, input, batch }: ImageSite): GivenImages {
  checkImages(images, input);
  if (images.device !== device) {
    throw new ArgumentError(
      "classify: images must be on the network's device; got some of another. Read them, and give the array.",
    );
  }
  const size = firstOf(images.shape);
  // At least one row more: a copy, of whole batches.
  const extra = batch - (size % batch);
  const { copy, isStrange } = scope(() =>
    noGrad(() => {
      const none = [0, 0] as const;
      const copy = pad(images.detach(), [[0, extra], none, none, none]);
      const odd = max(notFinite(reshape(copy, [size + extra, numel(input)])), { dim: 1 });
      return { copy: keep(copy), isStrange: keep(odd) };
    }),
  );
  return {
    size,
    strange: [],
    isStrange,
    fill(target, first) {
      copyInto(target, slice(copy, { starts: [first], ends: [first + batch] }));
    },
    dispose() {
      copy.dispose();
      isStrange.dispose();
    },
  };
}
