// Images on the host, batch by batch on their way to the GPU.

import { type ImageBytes, packBytes } from "../../base/index.ts";
import { numel, type Tensor } from "../../engine/functions.ts";
import type { HostImages } from "./images.ts";

/** Some images, and where their pixels are no numbers. */
export interface GivenImages {
  readonly size: number;
  /** Images with a NaN or infinite pixel, as far as they are known before anything ran. */
  readonly strange: readonly number[];
  /** On the GPU where only it can look: above 0 for such an image, [at least size]. */
  readonly isStrange?: Tensor;
  /** Puts `count` images into the batch [batch, H, W, C]; what lies behind them is not looked at. */
  fill(batch: Tensor, first: number, count: number): void;
  dispose(): void;
}

/** Images on the host; `put` unpacks and normalises the bytes of a whole batch. */
export function giveHost(
  { size, values, strange }: HostImages,
  input: readonly number[],
  put: (batch: Tensor, bytes: Uint32Array<ArrayBuffer>) => void,
): GivenImages {
  const pixels = numel(input);
  return {
    size,
    strange,
    fill(batch, first, count) {
      const [start, end] = [first * pixels, (first + count) * pixels];
      if (values instanceof Float32Array) {
        const padded = new Float32Array(batch.size);
        padded.set(values.subarray(start, end));
        batch.write(padded);
      } else put(batch, packBytes((values as ImageBytes).subarray(start, end), Math.ceil(batch.size / 4)));
    },
    dispose() {},
  };
}
