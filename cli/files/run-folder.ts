// The folder of a run: what lies in it under which name, and what its record says.

import { createHash } from "node:crypto";
import { existsSync, mkdirSync, renameSync, rmdirSync, rmSync, statSync } from "node:fs";
import { join } from "node:path";
import { defined, json, messageOf, SortieError } from "../../base/index.ts";
import { CADENCE, firstDifference, isBeginning, RUN_FILES, type Split, type TakenPhase } from "../../exits/index.ts";
import { type Config, completeConfig } from "../settings/config.ts";
import { comparable, withoutPlaces } from "../settings/contents.ts";
import { inFile, isPlain, type Plain } from "../settings/settings.ts";
import { type Facts, version } from "./versions.ts";
import { readJson, toJson, writeWhole } from "./whole.ts";

/** Names in a run folder, besides those that training writes. */
const OWN = {
  config: "config.json",
  record: "run.json",
  policy: "policy.json",
  evaluation: "evaluation.json",
  corruptions: "corruptions.json",
  timing: "timing.json",
  bench: "bench.json",
  report: "report.html",
  model: "model.sortie.safetensors",
  recorded: "model.recorded.safetensors",
  onnx: "onnx",
} as const;

/** The parts whose logits are kept. */
export const LOGIT_SPLITS = ["validation", "calibration", "test"] as const satisfies readonly Split[];

/** What a run leaves. */
const ALL = [
  ...Object.values(OWN),
  ...[RUN_FILES.last, RUN_FILES.best, RUN_FILES.metrics],
  ...LOGIT_SPLITS.map(RUN_FILES.logits),
];

/** What is known of a run besides its settings. */
export interface RunRecord {
  /** Versions, commit, machine, adapter. */
  readonly made: Facts;
  /** How the data was split, in a sentence. */
  readonly protocol: string;
  readonly classes: readonly string[];
  /** Samples of each part. */
  readonly samples: Readonly<Record<Split, number>>;
  readonly parameters: number;
  readonly exits: readonly { readonly stage: string; readonly macs: number }[];
  /** A first phase that another run had done, and where that lies. */
  readonly taken?: TakenPhase;
  readonly started: string;
  /** Absent while it trains. */
  readonly finished?: string;
  /** Data, training, logits, over the processes that it took; what one spent that was killed is not known. */
  readonly seconds?: Readonly<Record<string, number>>;
}

const TEXTS = json.byName(json.text);
const EXIT = { stage: json.text, macs: json.count } as const;
const SAMPLES = { train: json.count, validation: json.count, calibration: json.count, test: json.count } as const;
const RECORD = {
  made: TEXTS,
  protocol: json.text,
  classes: json.filled(json.text),
  samples: json.record(SAMPLES),
  parameters: json.count,
  exits: json.filled(json.record(EXIT)),
  taken: json.optional(json.record({ name: json.text, from: json.text })),
  started: json.text,
  finished: json.optional(json.text),
  seconds: json.optional(json.byName(json.finite)),
} as const satisfies Readonly<Record<keyof RunRecord, json.Reader<unknown>>>;

/** A record whose every field is checked. @throws Error that names the file and the field. */
function readRecord(path: string): RunRecord {
  const found = readJson(path);
  try {
    return json.parts(found, "record", RECORD);
  } catch (cause) {
    throw new SortieError(`${path}: ${messageOf(cause)} Put the file back, or train again with --fresh.`, {
      cause,
    });
  }
}

/** A run folder. */
export class RunFolder {
  readonly dir: string;

  constructor(dir: string) {
    this.dir = dir;
  }

  /** The folder that settings name. */
  static of(config: Config): RunFolder {
    return new RunFolder(join(config.out, config.name ?? defaultName(config)));
  }

  /** The folder at a path, if it is one of a run. */
  static at(path: string): RunFolder | undefined {
    if (!statSync(path, { throwIfNoEntry: false })?.isDirectory()) return undefined;
    const folder = new RunFolder(path);
    if (existsSync(folder.path("config"))) return folder;
    throw new SortieError(`${path} must be the folder of a run; it has no ${OWN.config}. Make one by sortie train.`);
  }

  path(name: keyof typeof OWN): string {
    return join(this.dir, OWN[name]);
  }

  /** All files of the run but those that a command makes of the others, for what must not be written over. */
  sources(): readonly string[] {
    const own = [OWN.config, OWN.record, RUN_FILES.last, RUN_FILES.best, RUN_FILES.metrics];
    return [...own, ...LOGIT_SPLITS.map(RUN_FILES.logits)].map((name) => join(this.dir, name));
  }

  get metrics(): string {
    return join(this.dir, RUN_FILES.metrics);
  }

  /** Whether the run is trained to its end, and not on its way to a later one. */
  get isFinished(): boolean {
    return this.recordOrNone()?.finished !== undefined;
  }

  /** Whether anybody can leave early: a plain network has its last exit alone, and nothing to calibrate. */
  get hasEarlyExit(): boolean {
    return this.record().exits.length > 1;
  }

  /** Path of the logits of a part. @throws Error where they are not there yet, or those of a run that trains on. */
  logits(split: Split): string {
    const path = join(this.dir, RUN_FILES.logits(split));
    if (this.isFinished && existsSync(path)) return path;
    const what = existsSync(path) ? `${path} must be of the trained run` : `${path} must exist`;
    throw new SortieError(`${what}; training has not come to its end. Run the same sortie train again.`);
  }

  /** @throws Error if the folder holds a run of other settings, naming the first that differs. Writes nothing. */
  check(config: Config, hint = "Choose another --name, or start over by --fresh."): void {
    if (!existsSync(this.path("config"))) return;
    const [own, asked] = comparable(this.config(), config);
    const { moreEpochs } = config.train;
    const there = this.grows(config) ? { ...own, train: { ...own.train, ...defined({ moreEpochs }) } } : own;
    const difference = firstDifference(trained(there), trained(asked));
    if (!difference) return;
    const [key, before, now] = difference;
    const values = `${key} ${JSON.stringify(before)}; now it is ${JSON.stringify(now)}`;
    throw new SortieError(`${this.dir} holds a run with ${values}. ${hint}`);
  }

  /** Whether these settings are those of the run that the folder holds, but for further epochs. */
  grows(config: Config): boolean {
    if (!existsSync(this.path("config"))) return false;
    const [before, now] = [this.config().train.moreEpochs, config.train.moreEpochs];
    return isBeginning(before, now) && (before?.length ?? 0) < (now?.length ?? 0);
  }

  /** Takes the folder for a run of these settings; of what was set aside it is rid. */
  claim(config: Config): void {
    writeWhole(this.path("config"), toJson(config));
    // Whole or not there at any time: what is left of it would be put back.
    const gone = `${this.#aside}.gone`;
    if (existsSync(this.#aside)) renameSync(this.#aside, gone);
    rmSync(gone, { force: true, recursive: true });
  }

  /** Sets aside what a run leaves, and nothing else that may lie there, until another claims the folder. */
  setAside(): void {
    // Of a process that was killed in between.
    this.putBack();
    mkdirSync(this.#aside, { recursive: true });
    this.#move(this.dir, this.#aside);
  }

  /** The run that was set aside is the folder's again. */
  putBack(): void {
    if (!existsSync(this.#aside)) return;
    this.#move(this.#aside, this.dir);
    rmdirSync(this.#aside);
  }

  get #aside(): string {
    return join(this.dir, ".replaced");
  }

  #move(from: string, to: string): void {
    for (const name of ALL) {
      if (!existsSync(join(from, name))) continue;
      rmSync(join(to, name), { force: true, recursive: true });
      renameSync(join(from, name), join(to, name));
    }
  }

  /** The settings it was made with. */
  config(): Config {
    return completeConfig(inFile(this.path("config")), readJson(this.path("config")) as Plain);
  }

  /** The record, if training has begun. */
  recordOrNone(): RunRecord | undefined {
    return existsSync(this.path("record")) ? this.record() : undefined;
  }

  record(): RunRecord {
    return readRecord(this.path("record"));
  }

  write(name: keyof typeof OWN, content: string): void {
    writeWhole(this.path(name), content);
  }

  /** Removes what is said of the run's weights, which are others now; what was exported says whose it is. */
  forgetFindings(): void {
    for (const name of ["policy", "evaluation", "corruptions", "timing", "bench", "report"] as const)
      rmSync(this.path(name), { force: true });
  }
}

const defaultName = ({ data, method, seed }: Config): string => `${data.name}-${method.name}-${seed}`;

/** The settings that make the weights what they are: neither how often is saved nor what calibration does. */
export function trained(config: Config): Plain {
  const { seed, model, method } = config;
  const { download: _, ...data } = withoutPlaces(config, "data");
  const recipe = Object.entries(withoutPlaces(config, "train")).filter(([key]) => !Object.hasOwn(CADENCE, key));
  return { seed, data, model, method, train: Object.fromEntries(recipe) };
}

/** The settings that decide what comes out of a run: of its weights, and of what is promised of them. */
export type Decisive = Plain & Pick<Config, "method" | "calibration">;

export const decisive = (config: Config): Decisive => {
  const { method, calibration } = config;
  return { ...trained(config), method, calibration };
};

/** Names a run by all that decides what comes out: one that is asked for twice is done once. */
export function runId(config: Config): string {
  const sorted = JSON.stringify({ sortie: version(), ...decisive(config) }, (_, value: unknown) =>
    isPlain(value) ? Object.fromEntries(Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1))) : value,
  );
  return `run-${createHash("sha256").update(sorted).digest("hex").slice(0, 32)}`;
}
