// A way through the exits, recorded once or twice: where the host waits in the middle of a batch, the next one begins
// meanwhile beside it, on memory of its own.

import { firstOf } from "../../base/index.ts";
import { type Behind, Route, type Site, type Way } from "./route.ts";
import type { WaitingRoom } from "./waiting.ts";

/** Bytes of a route that are worth having twice. */
const MOST_BYTES = 16 * 2 ** 20;

/** Where routes are recorded. */
export interface LaneSites {
  readonly site: Site;
  /** Another site of the same network and policy. */
  readonly beside: () => Promise<Site>;
  /** The last exit of the network. */
  readonly last: number;
}

/** The routes of one way, which batches take in turns. */
export class Lanes {
  /** The next one first. */
  #routes: readonly Route[];

  private constructor(routes: readonly Route[]) {
    this.#routes = routes;
  }

  /** Records a way. */
  static async record(way: Way, { site, beside, last }: LaneSites): Promise<Lanes> {
    if (way === "whole") return new Lanes([await Route.record({ ...site, open: [last] }, [])]);
    const first = await Route.record(site, way);
    if (!first.asks || first.bytes > MOST_BYTES) return new Lanes([first]);
    try {
      return new Lanes([first, await Route.record(await beside(), way)]);
    } catch (error) {
      first.dispose();
      throw error;
    }
  }

  /** What happens behind each open exit. */
  get behind(): readonly Behind[] {
    return firstOf(this.#routes).behind;
  }

  /** Whether the host waits in the middle of a batch: no batch may then be under way that goes another way. */
  get asks(): boolean {
    return firstOf(this.#routes).asks;
  }

  /** Where undecided rows wait for those of other batches; then there is one lane. */
  get room(): WaitingRoom | undefined {
    return firstOf(this.#routes).room;
  }

  /** Runs what lies behind on the rows that wait. */
  runLate(): Promise<ArrayLike<number>[]> {
    return firstOf(this.#routes).runLate();
  }

  /** Batches that may be under way at once, one a lane; undefined: the route does not say. */
  get most(): number | undefined {
    return this.asks ? this.#routes.length : undefined;
  }

  /** Whether weights will be prepared anew, which no batch may have in its middle. */
  get isStale(): boolean {
    return (this.asks || this.room !== undefined) && firstOf(this.#routes).site.net.isStale;
  }

  /** The route for the next batch. */
  get next(): Route {
    return firstOf(this.#routes);
  }

  /** A batch was begun on the next route: another one is the next. */
  advance(): void {
    this.#routes = [...this.#routes.slice(1), this.next];
  }

  dispose(): void {
    for (const route of this.#routes) route.dispose();
  }
}
