// Public entry of the data sets.

export { cacheFolder, type ImageBytes, SortieError } from "../base/index.ts";
export {
  AUGMENTATION,
  type Augmenter,
  type AugmentOptions,
  augmentationOf,
  augmentStream,
  CGT_AUGMENTATION,
  type CropFlip,
  createAugmenter,
  drawCropFlip,
  type EraseOptions,
} from "./augment.ts";
export { RAND_AUGMENT_OPERATIONS, type RandAugmentOptions } from "./augment-ops.ts";
export { CLASS_WEIGHTS, type ClassWeights } from "./class-weights.ts";
export {
  CORRUPTIONS,
  type Corruption,
  type CorruptOptions,
  corrupt,
  corruptionOf,
  SEVERITIES,
  type Severity,
} from "./corruptions/index.ts";
export { readCorrupted } from "./corruptions/official.ts";
export type { Pixels } from "./corruptions/pixels.ts";
export {
  channelStatistics,
  countClasses,
  createDataset,
  type Dataset,
  type DatasetMeta,
  type DatasetParts,
  head,
  type ImageShape,
  imageAt,
  normalize,
  subset,
} from "./dataset.ts";
export { DataError, type DataErrorDetails } from "./errors.ts";
export {
  type DownloadProgress,
  type FileCheck,
  type FileOptions,
  lookFor,
  type OfficialFile,
  type Patience,
  type Presence,
  type SetSource,
} from "./files.ts";
export { FIT, type PictureFit } from "./fit.ts";
export type { NumericArray } from "./formats/bytes.ts";
export { type CifarRecords, decodeCifar, decodeCifarPickle } from "./formats/cifar.ts";
export { decodeIdx, encodeIdx, type IdxArray } from "./formats/idx.ts";
export { decodeJpeg, type JpegImage, type JpegOptions } from "./formats/jpeg.ts";
export { decodeMat5, type MatArray } from "./formats/mat5.ts";
export {
  decodeNpy,
  encodeNpy,
  encodeNpz,
  NPY_HEADER_BYTES,
  type NpyArray,
  type NpyHeader,
  type NpzArchive,
  npyHeader,
  openNpz,
} from "./formats/npy.ts";
export { decodePng, encodePng, type PngImage, type PngOptions } from "./formats/png.ts";
export { crcBy, gunzip, MAX_UNPACKED, type UnpackOptions } from "./formats/unpack.ts";
export { type ByteSource, type ZipEntry, type ZipOptions, zipEntries } from "./formats/zip.ts";
export {
  drawGlyph,
  GLYPH_CLASSES,
  GLYPH_FACTORS,
  type GlyphFactors,
  type GlyphOptions,
  glyphs,
} from "./glyphs.ts";
export type { PictureSource, Rgba } from "./grab.ts";
export { type Batch, createLoader, type Loader, type LoaderOptions, type Position } from "./loader.ts";
export type { DecodeProgress } from "./pictures/cache.ts";
export {
  type DecodeOptions,
  decodePicture,
  type FromPixelsOptions,
  fromPixels,
  type Raster,
  resize,
} from "./pictures/index.ts";
export { Stream, shuffledOrder } from "./random.ts";
export { CIFAR10_SOURCE, CIFAR100_SOURCE, type Cifar100Options, cifar10, cifar100 } from "./sets/cifar.ts";
export { CINIC10_SOURCE, type Cinic10Options, cinic10 } from "./sets/cinic10.ts";
export {
  INDIAN_PINES_CLASSES,
  INDIAN_PINES_SOURCE,
  type IndianPinesOptions,
  indianPines,
} from "./sets/indian-pines.ts";
export { DATA_SETS, type DataSet, type DataSetName, type DataSetOptions } from "./sets/known.ts";
export { FASHION_MNIST_SOURCE, fashionMnist, MNIST_SOURCE, mnist } from "./sets/mnist.ts";
export { type NpzOptions, npz } from "./sets/npz.ts";
export type { DataOptions } from "./sets/options.ts";
export { type PictureFolderOptions, pictureFolder } from "./sets/picture-folder.ts";
export { SVHN_SOURCE, svhn } from "./sets/svhn.ts";
export { checkSplits, type Order, type SplitOptions, type Splits } from "./splits.ts";
