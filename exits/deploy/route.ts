// One way to run a batch through its exits, recorded: which exits are passed at all, and what happens to the rows
// behind each. All that lies between two questions of the host is one capture, so that nothing is read back in between,
// and memory is shared.

import { firstOf } from "../../base/index.ts";
import type { OwnScore } from "../../calibration/index.ts";
import {
  type Capture,
  capture,
  cast,
  compact,
  concat,
  type Device,
  empty,
  keep,
  liveRows,
  noGrad,
  read,
  reshape,
  type Survivors,
  type Tensor,
} from "../../engine/functions.ts";
import { type ExitRecord, heard, inF32 } from "../network/heads/head.ts";
import { exitAnswer } from "../ops/answer.ts";
import { type ExitResults, exitDecide } from "../ops/decide.ts";
import { packRows } from "../ops/pack.ts";
import type { Precision, PreparedNet } from "./prepared.ts";
import { WaitingRoom } from "./waiting.ts";

/**
 * What happens behind an early exit. compact: undecided rows are moved together, and later launches cover them alone.
 * keep: all rows go on, decided or not. ask: as compact, and their number is read; where none is left, nothing more is
 * launched. wait: undecided rows wait for those of other batches, and what lies behind is run on all of them at once.
 */
export type Behind = "compact" | "keep" | "ask" | "wait";

/** What happens behind each open exit; whole: nobody leaves, and no early exit is computed. */
export type Way = readonly Behind[] | "whole";

export const BEHIND: readonly string[] = ["compact", "keep", "ask", "wait"] satisfies readonly Behind[];

/** What all routes of a classifier share. */
export interface Site {
  readonly net: PreparedNet;
  readonly device: Device;
  readonly batch: number;
  readonly precision: Precision;
  readonly score: OwnScore;
  /** The exits that somebody may leave at, ascending; the last of the network among them. */
  readonly open: readonly number[];
  /** Levels of each exit, one or C of them; the last one's are not used. */
  readonly levels: readonly (readonly number[])[];
  /** The same on the GPU. */
  readonly thresholds: readonly Tensor[];
  /**
   * Whether the adapter binds enough buffers for rows that have left to go on; where it does not, they are compacted.
   */
  readonly canKeep: boolean;
  readonly temperatures: readonly number[];
  /** How far logits may be off, as a share of the largest. */
  readonly slack: number;
  readonly results: ExitResults;
  /** [batch, H, W, C], where each batch is put. */
  readonly images: Tensor;
  /** 0 .. batch - 1 */
  readonly all: Tensor;
  /** How many of the batch's images count; in a batch of one it always does. */
  readonly count: Tensor;
}

/** The rows of a batch, on their way. */
interface Rows {
  readonly features: Tensor;
  readonly ids: Tensor;
  /** How many count; undefined: all. */
  readonly live: Tensor | undefined;
  /** Which of them are undecided; undefined: all. */
  readonly before: Tensor | undefined;
  /** What exits said so far; only that of exits which are read by later ones. */
  readonly said: readonly ExitRecord[];
  /** Which of the rows go on, where they are about to wait. */
  readonly survivors?: Survivors;
}

type PartCapture = Capture<Record<string, never>, Record<string, never>, Rows>;

/** What is submitted at once, and how many rows it leaves, where that is asked. */
interface Part {
  readonly run: PartCapture;
  readonly left: Tensor | undefined;
}

interface RouteParts {
  readonly behind: readonly Behind[];
  readonly parts: readonly Part[];
  /** Where rows wait, and what is run on them. */
  readonly late?: { readonly room: WaitingRoom; readonly run: PartCapture } | undefined;
}

/** A recorded route. */
export class Route {
  readonly behind: readonly Behind[];
  /** Where batches are put that run on it, and their results come. */
  readonly site: Site;
  readonly #parts: readonly Part[];
  readonly #late: RouteParts["late"];

  private constructor(site: Site, { behind, parts, late }: RouteParts) {
    this.site = site;
    this.behind = behind;
    this.#parts = parts;
    this.#late = late;
  }

  /** Records the route that does `behind[i]` behind the i-th open exit. */
  static async record(site: Site, behind: readonly Behind[]): Promise<Route> {
    const owned: { dispose(): void }[] = [];
    try {
      const live = site.batch === 1 ? undefined : site.count;
      const parts: Part[] = [];
      let rows: Rows = { features: site.images, ids: site.all, live, before: undefined, said: [] };
      for (let first = 0; first < site.open.length; ) {
        const stop = behind.findIndex((step, i) => i >= first && (step === "ask" || step === "wait"));
        const last = stop < 0 ? site.open.length - 1 : stop;
        const { run, outputs } = await recordPart(site, behind, rows, [first, last]);
        owned.push(keep(run));
        parts.push({ run, left: behind[stop] === "ask" ? outputs.live : undefined });
        if (behind[stop] === "wait") {
          const late = await recordLate(site, behind, outputs, last);
          return new Route(site, { behind, parts, late });
        }
        rows = outputs;
        first = last + 1;
      }
      return new Route(site, { behind, parts });
    } catch (error) {
      for (const made of owned) made.dispose();
      throw error;
    }
  }

  /** Whether the host waits in the middle: then one batch must end before the next begins on the same site. */
  get asks(): boolean {
    return this.#parts.length > 1;
  }

  /** Where undecided rows wait for those of other batches, to be run by `runLate`. */
  get room(): WaitingRoom | undefined {
    return this.#late?.room;
  }

  /** Dispatches of one batch that runs to the end. */
  get dispatches(): number {
    return this.captures.reduce((sum, { dispatches }) => sum + dispatches, 0);
  }

  /** Bytes of memory that is the route's alone. */
  get bytes(): number {
    return this.captures.reduce((sum, { bytes }) => sum + bytes, 0);
  }

  /**
   * Runs the first `n` images of the batch, and reads `wanted` behind them. All is submitted at once, unless the route
   * asks.
   */
  async run(n: number, wanted: readonly Tensor[]): Promise<ArrayLike<number>[]> {
    const { batch, count, net } = this.site;
    net.refresh();
    if (batch > 1) count.write([n]);
    for (const { run, left } of this.#parts) {
      run.run({});
      if (!left) break;
      const [rows, ...found] = await read([left, ...wanted]);
      if (rows?.[0] === 0) return found;
    }
    this.room?.enter();
    return read(wanted);
  }

  /** Answers, exits and scores of the rows that wait, in their order. */
  async runLate(): Promise<ArrayLike<number>[]> {
    const { room, run } = this.#late as NonNullable<RouteParts["late"]>;
    run.run({});
    return room.answers();
  }

  dispose(): void {
    for (const capture of this.captures) capture.dispose();
    this.room?.dispose();
  }

  /** What it runs, in their order. */
  get captures(): readonly PartCapture[] {
    return [...this.#parts.map(({ run }) => run), ...(this.#late ? [this.#late.run] : [])];
  }
}

/** Makes room for what `rows` leave behind the i-th open exit, and records what is run on those that wait there. */
async function recordLate(
  site: Site,
  behind: readonly Behind[],
  rows: Rows,
  i: number,
): Promise<NonNullable<RouteParts["late"]>> {
  const { features, ids, said } = rows;
  const carried = carriedBy(site, site.open[i]!, rows);
  const newcomers = { from: [...new Set([features, ...carried])], survivors: rows.survivors as Survivors, ids };
  const room = await WaitingRoom.make(site.device, site.batch, newcomers);
  try {
    const moved = said.map((record) => movedTo(room, record, carried));
    const { size, filled, all, results } = room;
    const late = { features: room.roomOf(features), ids: all, live: filled, before: undefined, said: moved };
    const { run } = await recordPart({ ...site, batch: size, results }, behind, late, [i + 1, site.open.length - 1]);
    return { room, run: keep(run) };
  } catch (error) {
    room.dispose();
    throw error;
  }
}

/** What an exit said of rows that wait, as far as it is carried along. */
function movedTo(room: WaitingRoom, record: ExitRecord, carried: readonly Tensor[]): ExitRecord {
  const fields = Object.entries(record).filter(([, x]) => carried.includes(x));
  return Object.fromEntries(fields.map(([field, x]) => [field, room.roomOf(x)])) as unknown as ExitRecord;
}

/** Records the exits from `first` to `last` of the open ones. */
async function recordPart(
  site: Site,
  behind: readonly Behind[],
  before: Rows,
  [first, last]: readonly [number, number],
): Promise<{ readonly run: PartCapture; readonly outputs: Rows }> {
  const { device, results, precision } = site;
  let outputs = before;
  const label = `deployed exits ${first + 1} to ${last + 1}`;
  const carried = carriedBy(site, site.open[first - 1] ?? -1, before);
  const state = [results.answers, results.exits, results.scores, ...carried];
  const run = await capture({ label, device, inputs: {}, scalars: {}, state }, () =>
    noGrad(() => {
      if (outputs.live) liveRows(outputs.live, [outputs.features, ...carried]);
      if (first === 0 && precision === "f16") outputs = { ...outputs, features: cast(outputs.features, "f16") };
      for (let i = first; i <= last; i++) {
        const { rows, stays } = passExit(site, i, outputs);
        outputs = i === site.open.length - 1 ? { ...rows, said: [] } : goOn(site, i, { rows, stays }, behind[i]!);
      }
      return outputs;
    }),
  );
  return { run, outputs };
}

/** What later exits read of the rows behind an exit, each tensor once. */
function carriedBy({ net }: Site, exit: number, { said }: Rows): readonly Tensor[] {
  return [...new Set(net.carried(exit).map(([e, field]) => heard(said[e]!, field)))];
}

/** The segments up to the i-th open exit, and what the exits on the way say, where a later one reads it. */
function goTo({ net, open }: Site, i: number, { features: x, said: before }: Rows): Pick<Rows, "features" | "said"> {
  let features = x;
  const said = [...before];
  for (let j = i === 0 ? 0 : open[i - 1]! + 1; j <= open[i]!; j++) {
    features = net.segments[j]!(features);
    const answering = net.answers[j]!;
    if ("say" in answering) said[j] = inF32(answering.say(net.seen(j, features), said.slice(0, j)));
  }
  return { features, said };
}

/** The segments up to the i-th open exit, and its decision: which rows stay. */
function passExit(site: Site, i: number, given: Rows): { rows: Rows; stays: Tensor } {
  const { net, open, score, results, batch, device } = site;
  const { ids, live, before } = given;
  const exit = open[i]!;
  const { features, said } = goTo(site, i, given);
  const thresholds = site.thresholds[exit]!;
  const temperature = site.temperatures[exit]!;
  // Only the network's last exit says nothing of itself; another one where everybody leaves is told like the rest.
  const isTold = score === "confidence" && exit < net.answers.length - 1;
  const options = { exit, isLast: i === open.length - 1 && !isTold, score, temperature, slack: site.slack, rows: live };
  const answering = net.answers[exit]!;
  const rows = { features, ids, live, before, said };
  const seen = net.seen(exit, features);
  if (!("tail" in answering)) {
    const record = "say" in answering ? said[exit]! : { logits: cast(answering.pass(seen), "f32") };
    const logits = isTold ? withConfidence(record) : record.logits;
    return { rows, stays: exitDecide(logits, ids, thresholds, results, { ...options, before }) };
  }
  const stays = before ?? empty([batch], { dtype: "u32", device });
  const levels = site.levels[exit]!;
  exitAnswer(
    seen,
    answering.tail,
    { ids, thresholds: levels.length > 1 ? thresholds : firstOf(levels), stays, ...results },
    { ...options, masked: before !== undefined },
  );
  return { rows, stays };
}

/** Logits and behind them the confidence, [N, C + 1], as `exitDecide` reads them. */
function withConfidence({ logits, confidence }: ExitRecord): Tensor {
  return concat([logits, reshape(confidence as Tensor, [firstOf(logits.shape), 1])], { dim: 1 });
}

/** The rows that go on. */
function goOn(
  site: Site,
  i: number,
  { rows, stays }: { readonly rows: Rows; readonly stays: Tensor },
  behind: Behind,
): Rows {
  const { batch, canKeep } = site;
  if (behind === "keep" && canKeep) return { ...rows, before: stays };
  const { features, live, said } = rows;
  const carried = carriedBy(site, site.open[i]!, rows);
  if (batch === 1 && behind !== "wait") {
    // What stays of one row is their number.
    liveRows(stays, [features, ...carried]);
    return { ...rows, live: stays, before: undefined };
  }
  const survivors = compact(stays, { ...(live && { rows: live }) });
  if (behind === "wait") return { ...rows, before: undefined, survivors };
  // From here on features are counted by their number, which packing is given.
  liveRows(survivors.count, [features, ...carried]);
  const ids = packRows(features, survivors, rows.ids);
  for (const each of carried) packRows(each, survivors, rows.ids);
  return { features, ids, live: survivors.count, before: undefined, said };
}
