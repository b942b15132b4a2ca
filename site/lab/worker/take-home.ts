// What can be taken home: the model as one file, as ONNX, and as a page that needs nothing else.

import { strToU8, zipSync } from "fflate";
import { onnxFiles, readModel } from "../../../exits/index.ts";
import { homePage } from "../home-page.ts";
import type { SavedFile, TakeHome } from "../protocol.ts";
import { type Classified, fileOf } from "./subject.ts";

const MODEL = "model.sortie.safetensors";

export async function takeHome(subject: Classified, what: TakeHome): Promise<SavedFile> {
  const model = await fileOf(subject);
  const { name, net } = subject;
  if (what === "model") return { name: `${name}.sortie.safetensors`, type: "application/octet-stream", bytes: model };
  const { record } = await readModel(model);
  const files =
    what === "onnx"
      ? Object.fromEntries([...(await onnxFiles(net, record))].map(([file, content]) => [file, bytesOf(content)]))
      : { "index.html": strToU8(homePage(name, record.classes)), [MODEL]: model, ...(await library()) };
  return { name: `${name}-${what}.zip`, type: "application/zip", bytes: zipSync(files) as Uint8Array<ArrayBuffer> };
}

const bytesOf = (content: Uint8Array | string): Uint8Array =>
  typeof content === "string" ? strToU8(content) : content;

/** The library as one file, and the decoder of JPEG files that it looks for beside it; both lie beside this script. */
async function library(): Promise<Record<string, Uint8Array>> {
  const read = async (name: string) => {
    const response = await fetch(new URL(name, self.location.href));
    if (!response.ok) throw new Error(`${name} did not arrive: ${response.status}.`);
    return [name, new Uint8Array(await response.arrayBuffer())] as const;
  };
  return Object.fromEntries(await Promise.all(["sortie.js", "mozjpeg_dec.wasm"].map(read)));
}
