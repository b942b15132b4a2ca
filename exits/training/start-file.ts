// Weights of a file for a network to start from: of a checkpoint, a model file, or a network of PyTorch; whatever of
// them fits. Loaded where a run starts from a file.

import { codeOf } from "../../base/index.ts";
import { FormatError, readSafetensors, type SafetensorsFile, type StoredTensor } from "../../engine/functions.ts";
import {
  fromTorchName,
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

/** What became of the weights that a run starts from; names are the file's, heads counted as here. */
export interface StartReport extends LoadReport {
  readonly path: string;
  /** Tensors of the network that were taken from the file, */
  readonly taken: number;
  /** of so many. */
  readonly tensors: number;
  /** Tensors of the network that stay as they were drawn, by its own names. */
  readonly drawn: readonly string[];
  /** Digest of the network's weights as the run starts, which tells it from others. */
  readonly digest: string;
}

/**
 * Reads a file into the network; what does not fit - a classifier of other classes, say - stays as it was drawn.
 * @throws TrainingError if the file is not a checkpoint, is damaged, or nothing in it fits.
 */
export async function readStart(net: MultiExit, path: string): Promise<StartReport> {
  const file = await open(path);
  const { report, given } = read(net, file);
  const names = [...net.state().keys()];
  const drawn = names.filter((name) => !given.has(name));
  const tensors = names.length;
  const taken = tensors - drawn.length;
  if (taken === 0) {
    const held = [...file.tensors.keys()];
    const some = `${held.slice(0, 3).join(", ")}${held.length > 3 ? ` and ${held.length - 3} more` : ""}`;
    throw new TrainingError(
      `train: weights must be of such a network; nothing of ${path} fits, which holds ${some}. Are backbone and widths the same?`,
    );
  }
  return { ...report, path, taken, tensors, drawn, digest: await digest(net.state().values()) };
}

const CONVERT = `python3 -c 'import sys, torch; from safetensors.torch import save_file; w = torch.load(sys.argv[1], map_location="cpu", weights_only=True); w = w.get("state_dict", w.get("model", w)); save_file({k: v.contiguous() for k, v in w.items() if hasattr(v, "contiguous")}, sys.argv[2])' weights.pth weights.safetensors`;

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

/** What a file gave: by the network's names. */
interface Read {
  readonly report: LoadReport;
  readonly given: ReadonlySet<string>;
}

function read(net: MultiExit, file: SafetensorsFile): Read {
  const { tensors, metadata } = file;
  const whatFits = (names: readonly string[], mismatched: readonly string[]): ReadonlySet<string> => {
    const misfits = new Set(mismatched);
    return new Set(names.filter((name) => !misfits.has(name)));
  };
  if (isOwn(file)) {
    const prefix = OWN[metadata["format"] ?? ""] ?? "";
    const own = prefix === "" ? tensors : under(tensors, prefix);
    const there = stagesIn(metadata) ?? earlyStages(net);
    const state = byHead(net, own as ReadonlyMap<string, StateTensor>, there);
    const report = net.loadState(state, { strict: false });
    const mismatched = report.mismatched.map(({ name }) => name);
    return { report, given: whatFits([...state.keys()], mismatched) };
  }
  const renames = renamesFor(net, tensors);
  const report = loadTorch(net, tensors, { strict: false, renames });
  const ours = (name: string) => fromTorchName(name, renames);
  const mismatched = report.mismatched.map(({ name }) => ours(name));
  return { report, given: whatFits([...tensors.keys()].map(ours), mismatched) };
}

/** What wrappers of PyTorch put in front of every name. */
const WRAPPED = /^(?:(?:module|model|_orig_mod)\.)+/;

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
  if (net.backbone instanceof MSDNet) return ofMsdnet(net, net.backbone.stages.length);
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

/** The authors' code has a classifier behind each block; here exits have theirs, and the backbone that of the last. */
function ofMsdnet(net: MultiExit, blocks: number): Renames {
  const names = [...net.namedParameters().keys()];
  const heads = earlyStages(net).map((stage, j): readonly [string, string] => {
    return [`classifier.${Number(stage.slice("block".length)) - 1}.`, headIn(names, j)];
  });
  const last = [`classifier.${blocks - 1}.`, "backbone.classifier."] as const;
  const pairs = [...heads, last, ["blocks.", "backbone.blocks."] as const];
  const renamed = (name: string, from: 0 | 1) => {
    const pair = pairs.find((each) => name.startsWith(each[from]));
    return pair ? pair[1 - from] + name.slice(pair[from].length) : name;
  };
  return { fromFile: (name) => renamed(name.replace(WRAPPED, ""), 0), toFile: (name) => renamed(name, 1) };
}

/** The stages that early exits follow. */
const earlyStages = (net: MultiExit): readonly string[] =>
  net
    .describe()
    .slice(0, -1)
    .map(({ stage }) => stage);

/** The same of a file's network, where it says so. */
function stagesIn({ run, architecture }: SafetensorsFile["metadata"]): readonly string[] | undefined {
  const { exits } = JSON.parse(architecture ?? "{}") as { readonly exits?: readonly string[] };
  const { network } = (JSON.parse(run ?? "{}") ?? {}) as { readonly network?: Readonly<Record<string, unknown>> };
  return (
    exits ??
    (network &&
      Object.keys(network)
        .filter((key) => key !== "classes")
        .slice(0, -1))
  );
}

/** What stands in front of a head's tensors, within whatever a method has put around it. */
function headIn(names: readonly string[], j: number): string {
  const all = names.flatMap((name) => name.match(`^heads\\.${j}\\.(inner\\.)*`)?.[0] ?? []);
  return all.reduce((longest, each) => (each.length > longest.length ? each : longest), `heads.${j}.`);
}

/**
 * Heads under the numbers that exits behind the same stages have here, and within what is around them here; those of
 * other stages fit nowhere.
 */
function byHead<T>(net: MultiExit, tensors: ReadonlyMap<string, T>, there: readonly string[]): ReadonlyMap<string, T> {
  const here = earlyStages(net);
  const [own, given] = [[...net.state().keys()], [...tensors.keys()]];
  const renamed = (name: string): string => {
    const j = Number(/^heads\.(\d+)\./.exec(name)?.[1] ?? Number.NaN);
    if (Number.isNaN(j)) return name;
    const stage = there[j];
    const at = stage === undefined ? here.length : here.indexOf(stage);
    if (at < 0) return `${stage}: ${name}`;
    const head = headIn(given, j);
    if (name.startsWith(head)) return headIn(own, at) + name.slice(head.length);
    return name.replace(/^heads\.\d+\./, `heads.${at}.`);
  };
  return new Map([...tensors].map(([name, tensor]) => [renamed(name), tensor]));
}
