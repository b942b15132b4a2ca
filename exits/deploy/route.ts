// One way to run a batch through its exits, recorded: which exits are passed at all, and what happens to the rows
// behind each. All that lies between two questions of the host is one capture, so that nothing is read back in between,
// and memory is shared.

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
  type Tensor,
} from "../../engine/functions.ts";
import { type ExitRecord, heard, inF32 } from "../network/heads/head.ts";
import { exitAnswer } from "../ops/answer.ts";
import { type ExitResults, exitDecide } from "../ops/decide.ts";
import { packRows } from "../ops/pack.ts";
import type { Precision, PreparedNet } from "./prepared.ts";

/**
 * What happens behind an early exit. compact: undecided rows are moved together, and later launches cover them alone.
 * keep: all rows go on, decided or not. ask: as compact, and their number is read; where none is left, nothing more is
 * launched.
 */
export type Behind = "compact" | "keep" | "ask";

export const BEHIND: readonly string[] = ["compact", "keep", "ask"] satisfies readonly Behind[];

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
}

type PartCapture = Capture<Record<string, never>, Record<string, never>, Rows>;

/** What is submitted at once, and how many rows it leaves, where that is asked. */
interface Part {
  readonly run: PartCapture;
  readonly left: Tensor | undefined;
}

/** A recorded route. */
export class Route {
  readonly behind: readonly Behind[];
  readonly #site: Site;
  readonly #parts: readonly Part[];

  private constructor(site: Site, behind: readonly Behind[], parts: readonly Part[]) {
    this.#site = site;
    this.behind = behind;
    this.#parts = parts;
  }

  /** Records the route that does `behind[i]` behind the i-th open exit. */
  static async record(site: Site, behind: readonly Behind[]): Promise<Route> {
    const parts: Part[] = [];
    try {
      const live = site.batch === 1 ? undefined : site.count;
      let rows: Rows = { features: site.images, ids: site.all, live, before: undefined, said: [] };
      for (let first = 0; first < site.open.length; ) {
        const asked = behind.indexOf("ask", first);
        const last = asked < 0 ? site.open.length - 1 : asked;
        const { run, outputs } = await recordPart(site, behind, rows, [first, last]);
        parts.push({ run: keep(run), left: asked < 0 ? undefined : outputs.live });
        rows = outputs;
        first = last + 1;
      }
      return new Route(site, behind, parts);
    } catch (error) {
      for (const { run } of parts) run.dispose();
      throw error;
    }
  }

  /** Whether the host waits in the middle: then one batch must end before the next begins. */
  get asks(): boolean {
    return this.#parts.length > 1;
  }

  /** Dispatches of one batch that runs to the end. */
  get dispatches(): number {
    return this.#parts.reduce((sum, { run }) => sum + run.dispatches, 0);
  }

  /** Bytes of memory that is the route's alone. */
  get bytes(): number {
    return this.#parts.reduce((sum, { run }) => sum + run.bytes, 0);
  }

  /**
   * Runs the first `n` images of the batch, and reads `wanted` behind them. All is submitted at once, unless the route
   * asks.
   */
  async run(n: number, wanted: readonly Tensor[]): Promise<ArrayLike<number>[]> {
    const { batch, count, net } = this.#site;
    net.refresh();
    if (batch > 1) count.write([n]);
    for (const { run, left } of this.#parts) {
      run.run({});
      if (!left) break;
      const [rows, ...found] = await read([left, ...wanted]);
      if (rows?.[0] === 0) return found;
    }
    return read(wanted);
  }

  dispose(): void {
    for (const { run } of this.#parts) run.dispose();
  }
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
  const options = { exit, isLast: i === open.length - 1, score, temperature, rows: live };
  const answering = net.answers[exit]!;
  const rows = { features, ids, live, before, said };
  const seen = net.seen(exit, features);
  if (!("tail" in answering)) {
    const record = "say" in answering ? said[exit]! : { logits: cast(answering.pass(seen), "f32") };
    const logits = score === "confidence" && !options.isLast ? withConfidence(record) : record.logits;
    return { rows, stays: exitDecide(logits, ids, thresholds, results, { ...options, before }) };
  }
  const stays = before ?? empty([batch], { dtype: "u32", device });
  const levels = site.levels[exit]!;
  exitAnswer(
    seen,
    answering.tail,
    { ids, thresholds: levels.length > 1 ? thresholds : levels[0]!, stays, ...results },
    { ...options, masked: before !== undefined },
  );
  return { rows, stays };
}

/** Logits and behind them the confidence, [N, C + 1], as `exitDecide` reads them. */
function withConfidence({ logits, confidence }: ExitRecord): Tensor {
  return concat([logits, reshape(confidence as Tensor, [logits.shape[0]!, 1])], { dim: 1 });
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
  if (batch === 1) {
    // What stays of one row is their number.
    liveRows(stays, [features, ...carried]);
    return { ...rows, live: stays, before: undefined };
  }
  const survivors = compact(stays, { ...(live && { rows: live }) });
  // From here on features are counted by their number, which packing is given.
  liveRows(survivors.count, [features, ...carried]);
  const ids = packRows(features, survivors, rows.ids);
  for (const each of carried) packRows(each, survivors, rows.ids);
  return { features, ids, live: survivors.count, before: undefined, said };
}
