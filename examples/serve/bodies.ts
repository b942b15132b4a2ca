// What requests may hold: raw bytes, raw floats, JSON, a picture. What is no image of the model becomes a sentence, and
// never reaches a batch.

import { DataError, fromPixels } from "../../data/index.ts";
import type { ModelRecord } from "../../exits/index.ts";
import type { Lot } from "./batcher.ts";
import { BadRequest } from "./errors.ts";

/** Kinds of bodies, by their type; a type may be followed by parameters. */
export const BODIES = {
  /** Bytes 0 .. 255, [N, H, W, C]. */
  bytes: "application/octet-stream",
  /** Normalised, in little-endian f32, [N, H, W, C]. */
  floats: "application/x-f32",
  /** `{ "images": ..., "normalised": false }`, numbers in any nesting. */
  json: "application/json",
  /** One picture of any size, which is brought to the model's as its training pictures were. */
  png: "image/png",
  jpeg: "image/jpeg",
} as const;

/** What is asked of a model. */
type Model = Pick<ModelRecord, "architecture" | "fit">;

/** The images of a body, of the size that a model takes; a picture may have `maxPixels`. @throws BadRequest that says what is wrong */
export async function lotOf(type: string, body: unknown, model: Model, maxPixels: number): Promise<Lot> {
  const { input } = model.architecture;
  const pixels = input.reduce((n, extent) => n * extent, 1);
  if (!(Object.values(BODIES) as string[]).includes(type)) {
    const types = Object.values(BODIES).join(", ");
    throw new BadRequest(`A body must be of one of the types ${types}; got ${type || "none"}.`, 415);
  }
  if (body === null || body === undefined) throw new BadRequest("The body must hold images; got none.");
  const values = await valuesOf(type, body, model, maxPixels);
  if (values.length === 0 || values.length % pixels !== 0) {
    throw new BadRequest(
      `The body must hold images of ${input.join(" x ")} (height, width, channels), ${pixels} values each; got ${values.length}.`,
    );
  }
  // One that is no number would be refused with all that is classified beside it.
  const wrong = values instanceof Float32Array ? values.findIndex((value) => !Number.isFinite(value)) : -1;
  if (wrong >= 0)
    throw new BadRequest(
      `Pixels must be finite; got ${values[wrong]} in image ${Math.floor(wrong / pixels)} (from 0).`,
    );
  return { values, count: values.length / pixels };
}

async function valuesOf(
  type: string,
  body: unknown,
  model: Model,
  maxPixels: number,
): Promise<Uint8Array | Float32Array> {
  switch (type) {
    case BODIES.json:
      return numbersOf(body);
    case BODIES.bytes:
      return body as Uint8Array;
    case BODIES.floats: {
      const bytes = body as Uint8Array;
      if (bytes.length % 4 !== 0)
        throw new BadRequest(`Floats must have four bytes each; got ${bytes.length} bytes, no multiple of 4.`);
      // A Buffer may lie anywhere in memory that others share.
      return new Float32Array(Uint8Array.from(bytes).buffer);
    }
    default:
      return pictureOf(body as Uint8Array<ArrayBuffer>, model, maxPixels);
  }
}

/** Lists in lists that a body may have: more than [N, H, W, C] and a few of one, and fewer than a stack holds. */
const DEEPEST = 16;

/** A value of JSON in few words: how deep one goes is up to whoever sent it. */
export function shown(value: unknown): string {
  if (Array.isArray(value)) return "a list";
  return typeof value === "object" && value !== null ? "an object" : String(JSON.stringify(value));
}

/** Numbers of JSON, in any nesting that is usual. */
function numbersOf(body: unknown): Uint8Array | Float32Array {
  const { images, normalised = false, ...rest } = (body ?? {}) as Readonly<Record<string, unknown>>;
  if (!Array.isArray(images) || typeof normalised !== "boolean")
    throw new BadRequest('JSON must be { "images": [numbers, in any nesting], "normalised": true or false }.');
  const [stray] = Object.keys(rest);
  if (stray !== undefined) throw new BadRequest(`JSON may hold images and normalised; got "${stray}".`);
  const flat: readonly unknown[] = images.flat(DEEPEST);
  const odd = flat.findIndex((value) => typeof value !== "number");
  if (odd >= 0) {
    const got = Array.isArray(flat[odd]) ? `lists in more than ${DEEPEST} lists` : shown(flat[odd]);
    throw new BadRequest(`Pixels must be numbers; got ${got}.`);
  }
  const numbers = flat as readonly number[];
  if (normalised) return Float32Array.from(numbers);
  const wrong = numbers.find((value) => !Number.isInteger(value) || value < 0 || value > 255);
  if (wrong !== undefined)
    throw new BadRequest(`Pixels must be bytes, 0 to 255; got ${wrong}. For normalised values say "normalised": true.`);
  return Uint8Array.from(numbers);
}

async function pictureOf(
  bytes: Uint8Array<ArrayBuffer>,
  { architecture, fit }: Model,
  maxPixels: number,
): Promise<Uint8Array> {
  const { input } = architecture;
  const [, , channels] = input;
  if (channels !== 1 && channels !== 3)
    throw new BadRequest(`The model takes ${channels} channels, pictures have 1 or 3. Send raw values.`, 415);
  try {
    return await fromPixels(new File([bytes], "the body"), { input, maxPixels, ...fit });
  } catch (error) {
    if (!(error instanceof DataError)) throw error;
    // What the reader would be asked to raise is the server's.
    const message = error.message.replace(/^\w+: /, "").replace(/, or raise maxPixels\.$/, ".");
    throw new BadRequest(message, error.isTooLarge ? 413 : 400);
  }
}
