// Who submits batches, one after the other: some are under way at once, and rows of several may wait for each other.

import { scope } from "../../engine/functions.ts";
import type { Call } from "./call.ts";
import { Group } from "./group.ts";
import type { Lanes } from "./lanes.ts";
import type { Planner } from "./plan.ts";

/** Batches that may be under way at once: one runs while the host packs the next. */
const UNDER_WAY = 2;

/** Submits the batches of calls, which take turns: all share one queue. */
export class Runner {
  readonly #batch: number;
  readonly #planner: Planner;
  /** Ends when all batches of the calls before have been submitted. */
  #turn: Promise<unknown> = Promise.resolve();
  /** Batches that were submitted, oldest first. */
  readonly #underWay: Promise<unknown>[] = [];
  /** How the last of them went. */
  #last: Lanes | undefined;
  /** Batches that are timed together, or whose rows wait for each other. */
  #group: Group | undefined;
  #ended: Error | undefined;

  /** @param batch Images of a full batch. */
  constructor(batch: number, planner: Planner) {
    this.#batch = batch;
    this.#planner = planner;
  }

  /** Batches whose rows wait for those of others. */
  get waiting(): number {
    return this.#group?.waiting ?? 0;
  }

  /** Submits all batches of a call, and lets it expect their answers. */
  submit(call: Call): Promise<void> {
    return this.#inTurn(async () => {
      const batch = this.#batch;
      const isFlow = call.patience !== undefined || call.size > batch;
      for (let first = 0; first < call.size; first += batch) {
        const count = Math.min(batch, call.size - first);
        let route = await this.#next(count, isFlow);
        // What was begun with the weights as they were ends with them.
        if (route.isStale && (this.waiting > 0 || this.#underWay.length > 0)) {
          await this.#release();
          await this.#room(1);
          route = await this.#next(count, isFlow);
        }
        this.#checkAlive();
        this.#start(call, route, [first, count]);
      }
      if (call.patience === undefined) await this.#release();
      else this.#group?.hurry(call.patience, () => void this.release().catch(() => {}));
    });
  }

  /** Runs what waits now. */
  release(): Promise<void> {
    return this.#inTurn(() => this.#release());
  }

  /** Nothing is submitted any more, and who waits is told why. */
  end(why: Error): void {
    this.#ended = why;
    this.#group?.fail(why);
    this.#group = undefined;
  }

  #inTurn(fn: () => Promise<void>): Promise<void> {
    const turn = this.#turn.then(fn);
    this.#turn = turn.catch(() => {});
    return turn;
  }

  /** What the next batch runs on: what the others of its group do, or what is planned. */
  async #next(count: number, isFlow: boolean): Promise<Lanes> {
    while (this.#group && !this.#group.hasRoom(count)) {
      if (this.#group.isFull || this.#underWay.length === 0) await this.#release();
      else await this.#room(this.#underWay.length);
    }
    await this.#room(this.#last?.most ?? UNDER_WAY);
    if (this.#group) return this.#group.turn.route;
    const turn = await this.#planner.next(count, isFlow).catch((error) => {
      // A route that was being recorded when its memory went says less.
      throw this.#ended ?? error;
    });
    this.#checkAlive();
    const { route, note } = turn;
    const isTurn = route !== this.#last && (route.asks || this.#last?.asks);
    if (note || isTurn) await this.#room(1);
    this.#last = route;
    if (note || route.room) this.#group = new Group(turn, this.#batch);
    return route;
  }

  #start(call: Call, lanes: Lanes, [first, count]: readonly [number, number]): void {
    const since = performance.now();
    const route = lanes.next;
    const { images, results } = route.site;
    const group = this.#group;
    scope(() => call.given.fill(images, first, count));
    const newcomers = group?.room?.entered ?? [];
    const wanted = [results.answers, results.exits, results.scores, ...newcomers, ...call.lookedAt(first)];
    const found = route.run(count, wanted);
    lanes.advance();
    group?.add({ call, count, found }, since);
    if (group?.room) {
      this.#keep(found);
      call.expect(group.join({ call, first, count, found }));
      return;
    }
    const answered = found.then((all) => {
      call.look(all.slice(3));
      call.take(all, count, (k) => first + k);
    });
    this.#keep(answered);
    call.expect(answered);
  }

  /** Ends the group: runs what waits, and has the planner told. */
  async #release(): Promise<void> {
    const group = this.#group;
    if (!group) return;
    this.#group = undefined;
    if (group.room) {
      await this.#room(UNDER_WAY);
      if (this.#ended) return group.fail(this.#ended);
      this.#keep(group.run());
    }
    if (!group.turn.note) return;
    // What was tried must have ended before the planner says what is next.
    await this.#room(1);
    group.tell();
  }

  #keep(batch: Promise<unknown>): void {
    this.#underWay.push(batch);
    batch.catch(() => {});
  }

  /** Waits until fewer than `most` batches are under way. What they throw is their call's. */
  async #room(most: number): Promise<void> {
    while (this.#underWay.length >= most && this.#underWay.length > 0) await this.#underWay.shift()?.catch(() => {});
  }

  #checkAlive(): void {
    if (this.#ended) throw this.#ended;
  }
}
