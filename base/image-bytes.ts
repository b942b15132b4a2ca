// Bytes of images, wherever they lie.

/**
 * Bytes of images one after the other. A Uint8Array is one; others read them where they lie, whole images at a time.
 */
export interface ImageBytes {
  readonly length: number;
  /** Those from `start` to before `end`, both where an image begins or ends. */
  subarray(start: number, end: number): Uint8Array;
}
