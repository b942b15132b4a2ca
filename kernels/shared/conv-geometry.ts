// What a convolution is, in numbers.

/** Sizes of a convolution; a subset of what PyTorch calls its arguments, with the padding at top and left only. */
export interface ConvGeometry {
  readonly batch: number;
  readonly h: number;
  readonly w: number;
  readonly c: number;
  readonly oh: number;
  readonly ow: number;
  readonly o: number;
  readonly kh: number;
  readonly kw: number;
  readonly stride: readonly [h: number, w: number];
  readonly dilation: readonly [h: number, w: number];
  readonly top: number;
  readonly left: number;
  readonly groups: number;
}
