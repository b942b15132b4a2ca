// What others use of pictures; loaded by a classifier when it is given one.

export { type DecodeOptions, decodePicture } from "./decode.ts";
export { type FromPixelsOptions, fromPixels } from "./from-pixels.ts";
export { type Raster, resize } from "./resize.ts";
