// Weights of a file for a network to start from: of a checkpoint, a model file, or a network of PyTorch; whatever of
// them fits. Loaded where a run starts from a file.

import { codeOf } from "../../base/index.ts";
import { FormatError, readSafetensors, type SafetensorsFile, type StoredTensor } from "../../engine/functions.ts";
import {
  type LoadReport,
  loadTorch,
  MSDNet,
  type Renames,
  type StateTensor,
  TORCHVISION,
  timmRenames,
} from "../../nn/index.ts";
import { TrainingError } from "../errors.ts";
import type { MultiExit } from "../network/multi-exit.ts";
import { under } from "../run/checkpoint.ts";
import { digest } from "../run/digest.ts";
import { isIntact } from "../run/seal.ts";

/** What became of the weights that a run starts from; names are the file's. */
export interface StartReport extends LoadReport {
  readonly path: string;
  /** Tensors of the network that were taken from the file, */
  readonly taken: number;
  /** of so many. */
  readonly tensors: number;
  /** Digest of the network's weights as the run starts, which tells it from others. */
  readonly digest: string;
}

/**
 * Reads a file into the network; what does not fit - a classifier of other classes, say - stays as it was drawn.
 * @throws TrainingError if the file is not a checkpoint, is damaged, or nothing in it fits.
 */
export async function readStart(net: MultiExit, path: string): Promise<StartReport> {
  const file = await open(path);
  const report = read(net, file);
  const tensors = net.state().size;
  const taken = tensors - report.missing.length - report.mismatched.length;
  if (taken === 0) {
    const names = [...file.tensors.keys()];
    const some = `${names.slice(0, 3).join(", ")}${names.length > 3 ? ` and ${names.length - 3} more` : ""}`;
    throw new TrainingError(
      `train: weights must be of such a network; nothing of ${path} fits, which holds ${some}. Are backbone and widths the same?`,
    );
  }
  return { ...report, path, taken, tensors, digest: await digest(net.state().values()) };
}

const CONVERT = `python3 -c 'import sys, torch; from safetensors.torch import save_file; w = torch.load(sys.argv[1], map_location="cpu", weights_only=True); w = w.get("state_dict", w); save_file({k: v.contiguous() for k, v in w.items()}, sys.argv[2])' weights.pth weights.safetensors`;

/** How PyTorch and others name files that are no safetensors. */
const PICKLED = /\.(pth|pt|bin|ckpt|pkl|tar)$/i;

async function open(path: string): Promise<SafetensorsFile> {
  if (PICKLED.test(path))
    throw new TrainingError(
      `train: weights must be a safetensors file; got ${path}, which PyTorch pickles. Convert it: ${CONVERT}`,
    );
  let file: SafetensorsFile;
  try {
    file = await readSafetensors(path);
  } catch (cause) {
    if (codeOf(cause) === "ENOENT")
      throw new TrainingError(`train: weights must lie where they are said to be; there is no ${path}.`, { cause });
    const why = cause instanceof FormatError ? cause.message : (codeOf(cause) ?? "");
    if (why === "") throw cause;
    throw new TrainingError(`train: weights must be a readable safetensors file; of ${path} it is said: ${why}`, {
      cause,
    });
  }
  if (isOwn(file) && !(await isIntact(file)))
    throw new TrainingError(`train: weights must be whole; the checksum of ${path} is another. Copy it again.`);
  return file;
}

/** Formats of this project, by what stands in front of the network's names there. */
const OWN: Readonly<Record<string, string>> = {
  "sortie-checkpoint": "net.",
  "sortie-weights": "net.",
  "sortie-model": "",
};
const isOwn = ({ metadata: { format = "" } }: SafetensorsFile): boolean => Object.hasOwn(OWN, format);

function read(net: MultiExit, file: SafetensorsFile): LoadReport {
  const { tensors, metadata } = file;
  if (isOwn(file)) {
    const prefix = OWN[metadata["format"] ?? ""] ?? "";
    const own = prefix === "" ? tensors : under(tensors, prefix);
    return net.loadState(own as ReadonlyMap<string, StateTensor>, { strict: false });
  }
  return loadTorch(net, tensors, { strict: false, renames: renamesFor(net, tensors) });
}

/** What wrappers of PyTorch put in front of every name. */
const WRAPPED = /^(module|model|_orig_mod)\./;

/** torchvision's names of a transformer, and timm's. */
const VIT: readonly (readonly [RegExp, string])[] = [
  [/^class_token$/, "cls_token"],
  [/^encoder\.pos_embedding$/, "pos_embed"],
  [/^conv_proj\./, "patch_embed.proj."],
  [/^encoder\.layers\.encoder_layer_(\d+)\./, "blocks.$1."],
  [/^encoder\.ln\./, "norm."],
  [/^heads\.head\./, "head."],
  [/\.ln_([12])\./, ".norm$1."],
  [/\.self_attention\.in_proj_/, ".attn.qkv."],
  [/\.self_attention\.out_proj\./, ".attn.proj."],
  [/\.mlp\.(?:0|linear_1)\./, ".mlp.fc1."],
  [/\.mlp\.(?:3|linear_2)\./, ".mlp.fc2."],
];

/**
 * How a file of PyTorch calls what a network with exits has: a backbone alone, all of MSDNet, or the whole under its
 * own names.
 */
function renamesFor(net: MultiExit, tensors: ReadonlyMap<string, StoredTensor>): Renames {
  const names = [...tensors.keys()].map((name) => name.replace(WRAPPED, ""));
  if (names.some((name) => /^(backbone\.|heads\.\d)/.test(name)))
    return { fromFile: (name) => TORCHVISION.fromFile(name.replace(WRAPPED, "")), toFile: TORCHVISION.toFile };
  if (net.backbone instanceof MSDNet) return ofMsdnet(net.exits - 1);
  const timm = timmRenames(names);
  const isTransformer = names.includes("class_token");
  return {
    fromFile: (name) => {
      const bare = name.replace(WRAPPED, "");
      const known = isTransformer ? VIT.reduce((at, [there, here]) => at.replace(there, here), bare) : bare;
      return `backbone.${(timm ?? TORCHVISION).fromFile(known)}`;
    },
    toFile: (name) => TORCHVISION.toFile(name.replace(/^backbone\./, "")),
  };
}

/** The authors' code counts the classifiers of all exits in one list; the last one is the backbone's here. */
const ofMsdnet = (last: number): Renames => ({
  fromFile: (name) =>
    name
      .replace(WRAPPED, "")
      .replace(new RegExp(`^classifier\\.${last}\\.`), "backbone.classifier.")
      .replace(/^classifier\./, "heads.")
      .replace(/^blocks\./, "backbone.blocks."),
  toFile: (name) =>
    name
      .replace(/^backbone\.classifier\./, `classifier.${last}.`)
      .replace(/^heads\./, "classifier.")
      .replace(/^backbone\./, ""),
});
