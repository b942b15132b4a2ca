// A model for other runtimes: its graphs as ONNX, and what says how its exits decide. In Node and in a page; the
// library for these files is loaded by the call.

import { type Kinds, zip } from "../../base/index.ts";
import { encodePolicy } from "../../calibration/index.ts";
import { readOptions } from "../../engine/functions.ts";
import { checkNetwork, type MultiExit } from "../network/multi-exit.ts";
import { cascadeOf } from "./cascade.ts";
import type { ModelRecord } from "./model-file.ts";

/** Options of `onnxFiles`. */
export interface OnnxFilesOptions {
  /** Of the program that writes them, for whoever finds them. */
  readonly version?: string;
}

const OPTIONS: Kinds<OnnxFilesOptions> = { version: "string" };

/**
 * The files of a model by name: `network.onnx` with the logits of all exits, `stage1.onnx` and so on, one for each exit
 * from the features in front of it, `cascade.json`, which says how exits decide, and `policy.json`.
 * @throws SortieError for a network or a policy that has no form in ONNX
 */
export async function onnxFiles(
  net: MultiExit,
  model: ModelRecord,
  options: OnnxFilesOptions = {},
): Promise<ReadonlyMap<string, Uint8Array | string>> {
  checkNetwork("onnxFiles", net);
  const { version } = readOptions("onnxFiles", options, OPTIONS);
  const { weights, guarantee, policy } = model;
  const about = await cascadeOf(net, model);
  const { onnxOf } = await import("../../onnx/index.ts");
  const { whole, stages } = await onnxOf(net, { ...(version && { version }), metadata: { weights, guarantee } });
  return new Map<string, Uint8Array | string>([
    ["network.onnx", whole],
    ...zip(
      about.stages.map(({ file }) => file),
      stages,
    ),
    ["cascade.json", `${JSON.stringify(about, undefined, 2)}\n`],
    ...(policy ? [["policy.json", encodePolicy(policy)] as const] : []),
  ]);
}
