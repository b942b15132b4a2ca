// Bytes of images, wherever they lie.

/**
 * Bytes of images one after the other. A Uint8Array is one; others read them where they lie, whole images at a time.
 */
export interface ImageBytes {
  readonly length: number;
  /** Those from `start` to before `end`, both where an image begins or ends. */
  subarray(start: number, end: number): Uint8Array;
}

/** Whether images are bytes that lie elsewhere than in an array. */
export const isStored = (images: unknown): images is ImageBytes =>
  typeof (images as Partial<ImageBytes> | null | undefined)?.subarray === "function" && !ArrayBuffer.isView(images);

/** Some of the images, from `start` to before `end`: those that lie elsewhere are not read yet. */
export function imagesWithin(images: ImageBytes | Float32Array, start: number, end: number): ImageBytes | Float32Array {
  if (!isStored(images)) return images.subarray(start, end);
  return { length: end - start, subarray: (from: number, to: number) => images.subarray(start + from, start + to) };
}

/** The bytes of images as `words` 32-bit words, the last one filled with zeros. */
export function packBytes(images: Uint8Array, words: number): Uint32Array<ArrayBuffer> {
  const bytes = new Uint8Array(words * 4);
  bytes.set(images);
  return new Uint32Array(bytes.buffer);
}
