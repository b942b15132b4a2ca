// Whatever a caller gives to be classified, on the host: for classifiers that take no tensors.

import { Tensor } from "../../engine/functions.ts";
import { bytesOfPictures, type PictureSite } from "./given-pictures.ts";
import { checkImages, copyImages, type HostImages, type Images, type PixelImages, type PixelSite } from "./images.ts";

/** Images of any form, copied. @throws ArgumentError for images that the network does not take */
export async function imagesOnHost(images: Images, site: PixelSite & PictureSite): Promise<HostImages> {
  if (images instanceof Tensor) checkImages(images, site.input);
  const pictures = bytesOfPictures(images, site);
  const ready = pictures ? await pictures : (images as PixelImages);
  return copyImages(ready instanceof Tensor ? ((await ready.read()) as Float32Array) : ready, site);
}
