// The models that ship with the lab: their files, and test images of those that code cannot draw.

import { decodePng } from "../../../data/index.ts";
import type { Shown } from "./subject.ts";

async function fetched(name: string): Promise<Response> {
  const response = await fetch(new URL(`models/${name}`, self.location.href));
  if (!response.ok) throw new Error(`${name} did not arrive: ${response.status}.`);
  return response;
}

export const shippedFile = async (name: string): Promise<Blob> => (await fetched(`${name}.sortie.safetensors`)).blob();

/** Models whose test images come along. */
const WITH_SAMPLES: readonly string[] = ["fashion-mnist"];

interface Sheet {
  readonly rows: number;
  readonly columns: number;
  readonly labels: readonly number[];
}

/** The test images of one sheet, cut apart; undefined for glyphs, which are drawn. */
export async function shippedTest(name: string): Promise<Shown | undefined> {
  if (!WITH_SAMPLES.includes(name)) return undefined;
  const { rows, columns, labels } = (await (await fetched(`${name}.samples.json`)).json()) as Sheet;
  const bytes = new Uint8Array(await (await fetched(`${name}.samples.png`)).arrayBuffer());
  const { data, width, height } = decodePng(bytes, { file: `${name}.samples.png`, channels: 1 });
  const [w, h] = [width / columns, height / rows];
  const images = new Uint8Array(data.length);
  for (let i = 0; i < rows * columns; i++) {
    const [top, left] = [Math.floor(i / columns) * h, (i % columns) * w];
    for (let y = 0; y < h; y++) {
      const from = (top + y) * width + left;
      images.set(data.subarray(from, from + w), (i * h + y) * w);
    }
  }
  return { images, labels: Int32Array.from(labels) };
}
