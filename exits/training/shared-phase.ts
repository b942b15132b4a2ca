// The first phase of a run, taken over where another run has done the very same: many methods begin with the same plain
// backbone. What is taken over are the bits that training would have made.

import { firstOf } from "../../base/index.ts";
import {
  ArgumentError,
  type Generator,
  readSafetensors,
  type SafetensorsFile,
  type Tensor,
} from "../../engine/functions.ts";
import { adapterName } from "../deploy/adapter-name.ts";
import type { MultiExit } from "../network/multi-exit.ts";
import { architectureOf } from "../network/origin.ts";
import { stored, writeAll } from "../run/checkpoint.ts";
import { digest } from "../run/digest.ts";
import { exists, fileSystem } from "../run/files.ts";
import type { RunOptions } from "../run/identity.ts";
import { inFolder } from "../run/run.ts";
import { isIntact, sha256, writeSealed } from "../run/seal.ts";
import { deviceOf } from "./evaluator.ts";
import type { Span } from "./phases.ts";

const FORMAT = { format: "sortie-phase", version: "1" } as const;

/** A phase that another run has done. */
export interface TakenPhase {
  /** Its name. */
  readonly name: string;
  /** Folder of the run that trained it. */
  readonly from: string;
}

/** What decides the bits of a phase. */
interface SharedParts {
  readonly net: MultiExit;
  readonly spans: readonly Span[];
  readonly identity: RunOptions;
  /** Whether somebody teaches: his averages move with the phase. */
  readonly isTaught: boolean;
  readonly generators: readonly Generator[];
  readonly options: {
    readonly dir?: string;
    readonly phases?: string;
    readonly keepBytes?: number;
    readonly made?: Readonly<Record<string, string>>;
  };
}

/** Where the first phase of a run lies when somebody has done it, and what it consists of. */
export class SharedPhase {
  readonly #folder: string;
  readonly #path: string;
  readonly #tensors: ReadonlyMap<string, Tensor>;
  readonly #taken: TakenPhase;

  private constructor(folder: string, path: string, tensors: ReadonlyMap<string, Tensor>, taken: TakenPhase) {
    this.#folder = folder;
    this.#path = path;
    this.#tensors = tensors;
    this.#taken = taken;
  }

  /** Of a run that begins with a phase which others have too, and may find it; from the network as it was drawn. */
  static async of(parts: SharedParts): Promise<SharedPhase | undefined> {
    const { net, spans, identity, isTaught, generators, options } = parts;
    const { dir, phases: folder, keepBytes, made } = options;
    if (folder === undefined) return undefined;
    if (dir === undefined) throw new ArgumentError("train: phases goes with dir, the folder of the run; got none.");
    const { phase, recipe, steps } = firstOf(spans);
    const { sharedAs, isTaught: asks = true, tracks, prepare } = phase;
    const architecture = architectureOf(net);
    // What it prepares lies in no shared file, and what is frozen may come from another.
    const isAlone =
      spans.length < 2 || prepare || recipe.freeze || (isTaught && asks) || identity["batches"] === "given";
    if (sharedAs === undefined || !architecture || isAlone) return undefined;
    const trained = [...net.state()].filter(([name]) => tracks.some(({ trains }) => trains?.(name) ?? true));
    const tensors = new Map([
      ...trained.map(([name, tensor]) => [`net.${name}`, tensor] as const),
      ...generators.map(({ state }, i) => [`random.${i}`, firstOf(state)] as const),
    ]);
    const { moreEpochs: _, ...own } = recipe;
    const { wraps: __, ...network } = architecture;
    const { seed, batches, data, tuning } = identity;
    const adapter = adapterName(deviceOf(net).info);
    const decisive = {
      phase: { sharedAs, steps, recipe: own, keepBytes },
      run: { seed, batches, data, tuning, network, adapter, made },
      start: { names: [...tensors.keys()], values: await digest(tensors.values()) },
    };
    const name = await sha256(new TextEncoder().encode(JSON.stringify(decisive)));
    const path = inFolder(folder, `${name.slice(0, 32)}.safetensors`);
    return new SharedPhase(folder, path, tensors, { name: phase.name, from: dir });
  }

  /** Takes the phase over, if it is there and whole; whose it is. */
  async take(): Promise<TakenPhase | undefined> {
    if (!(await exists(this.#path))) return undefined;
    const file = await readSafetensors(this.#path).catch((): SafetensorsFile | undefined => undefined);
    if (file?.metadata["format"] !== FORMAT.format || file.metadata["version"] !== FORMAT.version) return undefined;
    if (!(await isIntact(file))) return undefined;
    writeAll(this.#path, this.#tensors, file.tensors);
    return { ...this.#taken, from: file.metadata["from"] ?? "" };
  }

  /** Lays the phase down, at its end, for others. */
  async put(): Promise<void> {
    const values = await stored(this.#tensors);
    if (!values) return;
    await fileSystem("train").mkdir(this.#folder, { recursive: true });
    await writeSealed(this.#path, values, { ...FORMAT, from: this.#taken.from });
  }
}
