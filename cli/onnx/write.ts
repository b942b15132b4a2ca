// The folder of an ONNX export: graphs, what says how exits decide, and what runs them in Python, TypeScript and
// Triton. It appears under its name only when it is complete.

import { existsSync, readFileSync, renameSync, rmSync, statSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { partOf, SortieError } from "../../base/index.ts";
import { cascadeOf, type ModelRecord, type MultiExit, onnxFiles } from "../../exits/index.ts";
import type { CascadeAbout } from "../../onnx/index.ts";
import { version } from "../files/versions.ts";
import { toJson, writeWhole } from "../files/whole.ts";

/** What tells a folder that this wrote from one that a user has filled. */
const MARK = "cascade.json";

const place = (path: string): string => fileURLToPath(new URL(path, import.meta.url));
/** Runs exports in Python. */
const python = (name: string): Buffer => readFileSync(place(`./runners/${name}`));
/** Runs them by onnxruntime-node and -web; `load` does so by it too. */
const runner = (extension: string): string => place(`../../onnx/cascade.${extension}`);

/** Of the runner for onnxruntime-node and -web: `ts` from the sources, `js` from the package. */
export const runnerExtension = (): "ts" | "js" => (existsSync(runner("ts")) ? "ts" : "js");

/** @throws SortieError for a target that is there and is no export. */
export function checkOnnxTarget(target: string): void {
  const found = statSync(target, { throwIfNoEntry: false });
  if (!found || (found.isDirectory() && existsSync(join(target, MARK)))) return;
  throw new SortieError(
    `export: ${target} must be new, or a folder of an earlier export; it has no ${MARK}. Choose another name.`,
  );
}

/**
 * Writes the folder; its bytes. @throws SortieError for a network that has no form in ONNX; then nothing is written.
 */
export async function writeOnnx(target: string, net: MultiExit, model: ModelRecord): Promise<number> {
  const files = await filesOf(net, model);
  const part = partOf(target);
  try {
    for (const [name, content] of files) writeWhole(join(part, name), content);
    const old = partOf(target);
    if (existsSync(target)) renameSync(target, old);
    renameSync(part, target);
    rmSync(old, { recursive: true, force: true });
  } catch (error) {
    rmSync(part, { recursive: true, force: true });
    throw error;
  }
  return files.reduce((sum, [, content]) => sum + Buffer.byteLength(content), 0);
}

type Files = readonly (readonly [name: string, content: string | Uint8Array])[];

async function filesOf(net: MultiExit, model: ModelRecord): Promise<Files> {
  const about = await cascadeOf(net, model);
  const files = await onnxFiles(net, model, { version: version() });
  return [
    ...files,
    ["cascade.py", python("cascade.py")],
    [`cascade.${runnerExtension()}`, readFileSync(runner(runnerExtension()))],
    ...tritonFiles(about, files),
  ];
}

/** Rows that a stage takes at once; triton.py has the same number. */
const TRITON_BATCH = 64;

/** A model repository: a model for each stage, and one that asks them. */
function tritonFiles(about: CascadeAbout, files: ReadonlyMap<string, Uint8Array | string>): Files {
  const nameOf = (file: string) => `cascade_${file.replace(/\.onnx$/, "")}`;
  const own = { ...about, stages: about.stages.map((stage) => ({ ...stage, file: nameOf(stage.file) })) };
  const [channels, height, width] = about.input.shape;
  const text = [
    'name: "cascade"',
    'backend: "python"',
    "max_batch_size: 0",
    `input [{ name: "IMAGES", data_type: TYPE_UINT8, dims: [-1, ${height}, ${width}, ${channels}] }]`,
    "output [",
    '  { name: "CLASSES", data_type: TYPE_INT32, dims: [-1] },',
    '  { name: "EXITS", data_type: TYPE_INT32, dims: [-1] },',
    '  { name: "SCORES", data_type: TYPE_FP32, dims: [-1] }',
    "]",
    "instance_group [{ kind: KIND_CPU }]",
    "",
  ].join("\n");
  const stageText = (name: string) =>
    [`name: "${name}"`, 'backend: "onnxruntime"', `max_batch_size: ${TRITON_BATCH}`, "dynamic_batching { }", ""].join(
      "\n",
    );
  return [
    ["triton/cascade/config.pbtxt", text],
    ["triton/cascade/1/model.py", python("triton.py")],
    ["triton/cascade/1/cascade.py", python("cascade.py")],
    ["triton/cascade/1/cascade.json", toJson(own)],
    ...about.stages.flatMap(({ file }) => [
      [`triton/${nameOf(file)}/config.pbtxt`, stageText(nameOf(file))] as const,
      [`triton/${nameOf(file)}/1/model.onnx`, files.get(file) ?? ""] as const,
    ]),
  ];
}
