// What a page can show, as pixels: copied at once, since a canvas may be drawn on and a video goes on.

/** Pixels in RGBA, as a canvas gives them. */
export interface Rgba {
  readonly data: Uint8ClampedArray;
  readonly width: number;
  readonly height: number;
}

/**
 * A picture: a canvas, an image, a bitmap, a video's frame, ImageData, or a file (JPEG or PNG; in a page what it
 * reads).
 */
export type PictureSource = Drawable | Rgba | Blob;

/** What a canvas draws; named one by one, since the declarations of a platform may lack some. */
type Drawable = HTMLCanvasElement | HTMLImageElement | HTMLVideoElement | ImageBitmap | OffscreenCanvas | VideoFrame;

const isRgba = (given: object): given is Rgba => "data" in given && given.data instanceof Uint8ClampedArray;

/** Whether something is a picture, as far as this platform has such. */
export function isPictureSource(given: unknown): given is PictureSource {
  if (typeof given !== "object" || given === null) return false;
  return given instanceof Blob || isRgba(given) || sizeOf(given) !== undefined;
}

/** Width and height of what can be drawn onto a canvas; undefined for anything else. */
function sizeOf(given: object): readonly [width: number, height: number] | undefined {
  const is = (name: string): boolean => {
    const Kind = (globalThis as Readonly<Record<string, unknown>>)[name];
    return typeof Kind === "function" && given instanceof Kind;
  };
  const size = given as Readonly<Record<string, number>>;
  const of = (names: readonly string[], width: string, height: string) =>
    names.some(is) ? ([size[width]!, size[height]!] as const) : undefined;
  return (
    of(["HTMLCanvasElement", "OffscreenCanvas", "ImageBitmap"], "width", "height") ??
    of(["HTMLImageElement"], "naturalWidth", "naturalHeight") ??
    of(["HTMLVideoElement"], "videoWidth", "videoHeight") ??
    of(["VideoFrame"], "displayWidth", "displayHeight")
  );
}

/** The pixels of a picture as it is now; a file stays as it is, since it does not change. */
export function grab(source: PictureSource): Rgba | Blob {
  if (source instanceof Blob) return source;
  if (isRgba(source)) return { data: source.data.slice(), width: source.width, height: source.height };
  const [width, height] = sizeOf(source) ?? [0, 0];
  if (!(width > 0 && height > 0)) return { data: new Uint8ClampedArray(0), width, height };
  const context = new OffscreenCanvas(width, height).getContext("2d", { willReadFrequently: true });
  context?.drawImage(source, 0, 0);
  return context?.getImageData(0, 0, width, height) ?? { data: new Uint8ClampedArray(0), width: 0, height: 0 };
}
