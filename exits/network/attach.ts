// Makes a backbone a network with several exits: which stages they stand behind, their heads, and what a method puts
// around these.

import { type Kinds, lastOf, SEED, what } from "../../base/index.ts";
import { ArgumentError, readOptions } from "../../engine/functions.ts";
import { Backbone, describeStages, Init } from "../../nn/index.ts";
import type { Head, HeadFactory, HeadRecord, HeadSite, HeadWrap } from "./heads/head.ts";
import { OwnHead } from "./heads/own.ts";
import { TAILS, type TailKind } from "./heads/tails.ts";
import { MultiExit } from "./multi-exit.ts";

/** What an exit gets: a plain head by name, any other as data (one of `HEADS`, or your own), or what makes one. */
export type HeadChoice = TailKind | HeadRecord | HeadFactory;

/** Options of `multiExit`. */
export interface MultiExitOptions {
  /** Names of the stages that early exits follow, in order; the last exit follows the last stage. */
  readonly after: readonly string[];
  /** One kind for all early exits, or one for each; default `gap-linear` on maps, `class-token` on tokens. */
  readonly head?: HeadChoice | readonly HeadChoice[];
  /** Default: the backbone's own classifier. */
  readonly last?: HeadChoice;
  /** What a method puts around the heads, innermost first: `METHODS[name].with(options).wraps`. */
  readonly wraps?: readonly HeadWrap[];
  /** Of the heads' weights; default 0. */
  readonly seed?: number;
}

/**
 * The places of the stages that exits follow, the last one too; `what` names them in messages. @throws ArgumentError
 * @internal
 */
export function stagesOf({ stages }: Backbone, after: readonly string[], what: string): number[] {
  const names = stages.map(({ name }) => name);
  const last = names.length - 1;
  const found = after.map((name) => names.indexOf(name));
  const isRising = found.every((at, i) => at > (found[i - 1] ?? -1) && at < last);
  if (!isRising) {
    const early = names.slice(0, -1).join(", ");
    throw new ArgumentError(
      `${what} must name some of ${early}, in this order; got [${after.join(", ")}]. The last exit is always there.`,
    );
  }
  return [...found, last];
}

/** Names heads' random streams apart from the backbone's, whatever seeds both are given. */
const HEAD_SEEDS = 2 ** 40;

const MULTI_EXIT: Kinds<MultiExitOptions> = { after: "any!", head: "any", last: "any", wraps: "any", seed: SEED };

/**
 * Attaches exits to a backbone; see `MultiExitOptions`. The network owns the backbone.
 *
 * @example
 * ```ts
 * import { ones } from "sortie/engine";
 * import { multiExit } from "sortie/exits";
 * import { EVAL, resnet } from "sortie/nn";
 *
 * const backbone = resnet({ depth: 8, widths: [4, 4, 8], input: [8, 8, 1], classes: 10, seed: 1 });
 * const net = multiExit(backbone, { after: ["stage1", "stage2"], head: "gap-norm-linear" });
 * console.log(net.exits); // 3
 * console.log(net.forward(ones([2, 8, 8, 1]), EVAL).shape); // [2, 3, 10]
 * ```
 */
export function multiExit(backbone: Backbone, options: MultiExitOptions): MultiExit {
  if (!(backbone instanceof Backbone))
    throw new ArgumentError(`multiExit: the backbone must be one, such as resnet(...); got ${what(backbone)}.`);
  const { after, head, last, wraps = [], seed = 0 } = readOptions("multiExit", options, MULTI_EXIT);
  if (!Array.isArray(after))
    throw new ArgumentError(`multiExit: after must be a list of stages' names; got ${what(after)}.`);
  const at = stagesOf(backbone, after, "multiExit: after");
  const kinds = Array.isArray(head) ? (head as readonly HeadChoice[]) : undefined;
  if (kinds && kinds.length !== after.length) {
    throw new ArgumentError(
      `multiExit: there must be one head for each of ${after.length} early exits; got ${kinds.length}.`,
    );
  }
  const device = backbone.parameters()[0]?.device;
  const init = new Init({ seed: HEAD_SEEDS + seed, device });
  const stages = describeStages(backbone);
  const sites = at.map(
    (stage): HeadSite => ({
      stage: stages[stage]!,
      deepest: lastOf(stages),
      classes: backbone.classes,
      init,
    }),
  );
  const chosen = after.map((_, j) => (kinds ? kinds[j] : (head as HeadChoice | undefined)));
  const all = last === undefined ? chosen : [...chosen, last];
  const made = all.map((given, j) => {
    const site = sites[j]!;
    return makeHead(given ?? (site.stage.kind === "map" ? "gap-linear" : "class-token"), site);
  });
  const used = stages.map((stage) => stage.used);
  const own = new OwnHead(backbone, used);
  return new MultiExit(
    backbone,
    wrapped(
      made.map((each) => each.head),
      own,
      sites,
      wraps,
    ),
    { stages: at, kinds: made.map((each) => each.kind), wraps: wraps.map(({ name }) => name), used, own },
  );
}

/** A head for a site, and what it is called. @throws ArgumentError for none, or one for other features. */
function makeHead(choice: HeadChoice, site: HeadSite): { head: Head; kind: string } {
  if (typeof choice === "function") return { head: choice(site), kind: "custom" };
  const record: HeadRecord | undefined = typeof choice === "string" ? TAILS[choice] : choice;
  if (typeof record?.make !== "function") {
    throw new ArgumentError(
      `multiExit: head must be ${Object.keys(TAILS).join(", ")}, or data, such as HEADS.attention; got ${what(choice)}.`,
    );
  }
  const { name, kind } = site.stage;
  if (record.on !== kind) {
    const fitting = Object.values(TAILS).flatMap((tail) => (tail.on === kind ? [tail.name] : []));
    throw new ArgumentError(
      `multiExit: head must fit the ${kind} of ${name}; got ${record.name}, which reads ${ON[record.on]}. Use one of ${fitting.join(", ")}.`,
    );
  }
  return { head: record.make(site), kind: record.name };
}

const ON = { map: "a map", tokens: "tokens" } as const;

/** Heads with what a method puts around them; where that is around all, the last exit has one too. */
function wrapped(
  heads: readonly Head[],
  own: OwnHead,
  sites: readonly HeadSite[],
  wraps: readonly HeadWrap[],
): readonly Head[] {
  const exits = sites.length;
  const isForAll = wraps.some((wrap) => wrap.isForAll);
  const all = isForAll && heads.length < exits ? [...heads, own] : heads;
  const last = all[exits - 1] ?? own;
  return all.map((head, exit) => {
    const fitting = wraps.filter((wrap) => wrap.isForAll || exit < exits - 1);
    return fitting.reduce((inner, { wrap }) => wrap(inner, { ...sites[exit]!, exit, exits, last }), head);
  });
}
