// What is timed: the network of a run or of a model file, the images that it is shown, and the policies that let them
// leave.

import { existsSync, statSync } from "node:fs";
import { join } from "node:path";
import { lastOf, SortieError } from "../../base/index.ts";
import {
  applyScaling,
  betweenScores,
  cascade,
  createRandom,
  decide,
  type PolicyFile,
  type PolicyRequest,
  type Score,
  scaleLogits,
  type Table,
} from "../../calibration/index.ts";
import { type Dataset, head, type ImageBytes } from "../../data/index.ts";
import type { Device } from "../../engine/index.ts";
import {
  Evaluator,
  type ImageSet,
  loadWeights,
  type ModelFile,
  type MultiExit,
  networkOf,
  RUN_FILES,
  readModel,
  toTable,
  weightsDigest,
} from "../../exits/index.ts";
import { readLogits } from "../files/logits-file.ts";
import { readPolicy } from "../files/policy-file.ts";
import { RunFolder } from "../files/run-folder.ts";
import type { Decided } from "../findings/agreement.ts";
import { level, percent } from "../format.ts";
import { testImages } from "../report/run-details.ts";
import { calibrateBy, laidOutOtherwise } from "../report/targets.ts";
import type { Config } from "../settings/config.ts";
import { withContents } from "../settings/contents.ts";
import { loadData, makeNetwork } from "../settings/model.ts";
import { knownSet } from "../settings/sets.ts";
import type { Plain } from "../settings/settings.ts";

/** What is timed. */
export interface Subject {
  /** Of the exits. */
  readonly names: readonly string[];
  make(device: Device): Promise<MultiExit>;
  readonly images: ImageSet;
  /** Why they are noise, where they are. */
  readonly noise: string | undefined;
  readonly policy: PolicyFile | undefined;
  /** The policy's rule asked for another target; or why it cannot be. */
  readonly again: ((alpha: number) => PolicyFile) | string;
}

/** Options of `openSubject`. */
export interface SubjectOptions {
  readonly policy: string | undefined;
  readonly dataDir: string | undefined;
  /** How many images, at most. */
  readonly images: number;
}

/** Opens a run's folder or a model file. @throws SortieError for what is neither. */
export async function openSubject(path: string, options: SubjectOptions): Promise<Subject> {
  const folder = RunFolder.at(path);
  if (folder) return ofRun(folder, options);
  if (!existsSync(path) || !statSync(path).isFile())
    throw new SortieError(`bench: ${path} must be the folder of a run, or a model file; it is neither.`);
  return ofFile(await readModel(path), options);
}

async function ofRun(folder: RunFolder, options: SubjectOptions): Promise<Subject> {
  const config = movedTo(folder.config(), options.dataDir);
  const record = folder.record();
  const own = existsSync(folder.path("policy")) ? folder.path("policy") : undefined;
  const chosen = options.policy ?? own;
  const policy = chosen === undefined ? undefined : readPolicy(chosen);
  const test = readLogits(folder.logits("test"));
  const found = await testImages(config, test);
  if (typeof found === "string") throw new SortieError(`bench: the run's test images must be at hand; ${found}`);
  const { request, scaling, result } = policy ?? {};
  const scaled = (part: "validation" | "calibration") => {
    const table = readLogits(folder.logits(part));
    return scaling ? applyScaling(table, scaling) : table;
  };
  const delta = result && "delta" in result ? result.delta : undefined;
  const again = (alpha: number): PolicyFile => {
    const sources = { calibration: scaled("calibration"), validation: scaled("validation") };
    const asked = request as PolicyRequest;
    return { result: calibrateBy(asked, { alpha, delta }, sources), ...(scaling && { scaling }), request: asked };
  };
  const unasked = policy ? "a policy that does not say what was asked of calibration" : "a run without a policy";
  const why = request ? laidOutOtherwise(request) : unasked;
  return {
    names: record.exits.map(({ stage }) => stage),
    make: async (device) => {
      const net = makeNetwork(config, { train: found }, device);
      await loadWeights(join(folder.dir, RUN_FILES.last), net.state());
      return net;
    },
    images: head(found, options.images),
    noise: undefined,
    policy,
    again: why ?? again,
  };
}

async function ofFile(file: ModelFile, options: SubjectOptions): Promise<Subject> {
  const { record } = file;
  const policy = options.policy === undefined ? record.policy : readPolicy(options.policy);
  const found = await ofData(file, options.dataDir);
  const isNoise = typeof found === "string";
  return {
    names: record.exits.map(({ stage }) => stage),
    make: async (device) => networkOf(file, device),
    images: isNoise ? noise(file, options.images) : head(found, options.images),
    noise: isNoise ? found : undefined,
    policy,
    again: "a model file, which holds no calibration samples",
  };
}

/**
 * The test images of the data set that a file says it was trained on, prepared as the file says, whatever the data set
 * at hand does; or why there are none.
 */
export async function ofData({ record }: ModelFile, dir: string | undefined): Promise<Dataset<ImageBytes> | string> {
  const settings = record.training?.["settings"] as Partial<Config> | undefined;
  const data = settings?.data;
  if (!data?.name) return "The file does not say what it was trained on.";
  if (data.name !== "glyphs" && dir === undefined) return `--data-dir says where ${data.name} is.`;
  const parts = data.name === "glyphs" ? { train: 0, validation: 0, calibration: 0 } : {};
  const moved = movedTo({ ...settings, data: { ...data, ...parts } } as Config, dir);
  const { content: _, ...unknown } = moved.data;
  const { content } = withContents({ where: "data", name: (key) => key }, { data: unknown, train: {} }).data as Plain;
  if (data.content !== undefined && content !== undefined && content !== data.content)
    return `The files of ${data.name} in ${dir} are others than those that the network was trained beside; their parts would be others too.`;
  const { test } = await loadData(moved, () => {});
  const [got, wanted] = [test.shape.join(" x "), record.architecture.input.join(" x ")];
  if (got !== wanted) return `Images of ${data.name} are ${got}; the network takes ${wanted}.`;
  const [theirs, own] = [test.classes, record.classes].map((names) => names.join(", "));
  if (theirs !== own) return `Classes of ${data.name} are ${theirs}; the network tells ${own} apart.`;
  return { ...test, meta: { ...test.meta, ...record.normalise } };
}

/** The settings with another place of the data: of a file, where the set is one. */
const movedTo = (config: Config, dir: string | undefined): Config =>
  dir === undefined
    ? config
    : {
        ...config,
        data: { ...config.data, ["file" in knownSet("bench", config.data.name).options ? "file" : "dir"]: dir },
      };

/** Images of the network's size that show nothing: times are the same, shares that leave are not. */
function noise({ record }: ModelFile, size: number): ImageSet {
  const shape = record.architecture.input;
  const random = createRandom(1);
  const images = Uint8Array.from({ length: size * shape[0] * shape[1] * shape[2] }, () => 256 * random.uniform());
  const ids = Int32Array.from({ length: size }, (_, i) => i);
  const meta = { name: "noise", split: "test", ...record.normalise };
  return { size, shape, images, labels: new Int32Array(size), ids, classes: record.classes, meta };
}

/** Thresholds under a name, and what they must answer. */
export interface Candidate {
  readonly name: string;
  readonly policy: Pick<PolicyFile, "scaling"> & { readonly thresholds: ArrayLike<number>; readonly score: Score };
  readonly expected: Decided;
}

/** What the network's own forward pass says of the images. */
export async function tableOf(net: MultiExit, set: ImageSet): Promise<Table> {
  using evaluator = await Evaluator.record(net, set, Math.min(256, set.size));
  const answers = await evaluator.answers(set);
  const weights = await weightsDigest(net.state().values());
  const { labels, ids } = set;
  return toTable({ shape: [set.size, net.exits, net.classes], ...answers, labels, ids, macs: net.macs(), weights });
}

/**
 * All that is timed besides the whole network: the policy, its rule at other targets, and shares of the images that
 * leave at the first exit while nobody leaves at the others.
 */
export function candidates(
  { names, policy, again }: Subject,
  raw: Table,
  { targets, shares }: { readonly targets: readonly number[]; readonly shares: readonly number[] },
): { readonly policies: readonly Candidate[]; readonly byShare: readonly Candidate[] } {
  const policies: Candidate[] = [];
  const add = (name: string, { result, scaling }: PolicyFile): void => {
    if (!result.ok || result.score === "given") return;
    policies.push(candidate(name, { ...result, score: result.score, ...(scaling && { scaling }) }, raw, names));
  };
  if (policy) add("alpha" in policy.result ? `risk ${level(policy.result.alpha)}` : "policy", policy);
  for (const target of typeof again === "string" ? [] : targets) {
    const name = `risk ${level(target)}`;
    if (policies.every((known) => known.name !== name)) add(name, (again as (alpha: number) => PolicyFile)(target));
  }
  return { policies, byShare: names.length > 1 ? shares.map((share) => ofShare(share, raw, names)) : [] };
}

function candidate(name: string, policy: Candidate["policy"], raw: Table, names: readonly string[]): Candidate {
  const scored = cascade(policy.scaling ? scaleLogits(raw, policy.scaling) : raw, policy.score);
  const { thresholds } = policy;
  return {
    name,
    policy,
    expected: { scored, raw, scaling: policy.scaling, names, thresholds, exits: decide(scored, thresholds) },
  };
}

function ofShare(share: number, raw: Table, names: readonly string[]): Candidate {
  const scored = cascade(raw);
  const atFirst = scored.scores.filter((_, at) => at % raw.exits === 0).sort();
  const quantile = lastOf(atFirst.subarray(0, 1 + Math.max(0, Math.round((1 - share) * raw.samples))));
  const closed = new Float64Array(raw.exits - 1).fill(Number.POSITIVE_INFINITY);
  const thresholds = betweenScores(scored)(closed.with(0, quantile));
  return candidate(`${percent(share)} leave at ${names[0]}`, { thresholds, score: "maxProb" }, raw, names);
}

/** The whole network: nobody leaves. */
export function whole(raw: Table, names: readonly string[]): Candidate {
  const thresholds = new Float64Array(Math.max(1, raw.exits - 1)).fill(Number.POSITIVE_INFINITY);
  return candidate("whole network", { thresholds, score: "maxProb" }, raw, names);
}
