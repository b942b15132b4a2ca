// Fair bets that are laid anew at every step, each time with a share of the stake kept aside for it. Bets laid at the
// first step alone lose while all is well, and must win that back before they can tell of a change.

import { change, sum } from "../numeric/arrays.ts";

/**
 * Stake still aside after n steps: half is laid at the first, and then so little less for ever that a restart near any
 * step n is worth about 1 / (n log^2 n). All shares together are at most 1, so the game stays fair (its expectation is
 * at most 1).
 */
const aside = (n: number) => (n === 0 ? 1 : (0.5 * Math.log(3)) / Math.log(n + 2));

/** What a monitor tells at each step. */
export interface Alarm {
  readonly n: number;
  readonly eValue: number;
  readonly isAlarm: boolean;
  readonly alarmAt: number;
}

/** What comes of the next step's `evidence`, a logarithm: an alarm from `goal` on, which stays and knows its step. */
export function alarmAfter(before: Alarm, evidence: number, goal: number): Alarm {
  const n = before.n + 1;
  const isAlarm = before.isAlarm || evidence >= goal;
  const alarmAt = before.alarmAt >= 0 || !isAlarm ? before.alarmAt : n;
  return { n, eValue: Math.exp(evidence), isAlarm, alarmAt };
}

/**
 * The wealth of several bets, and what is aside. Starts at 1; by Ville's inequality it ever reaches 1/delta with
 * probability at most delta.
 */
export class RestartedBets {
  /** In units of exp(#scale), so that long runs neither overflow nor vanish. */
  readonly #wealth: Float64Array;
  #scale = 0;
  #steps = 0;

  constructor(bets: number) {
    this.#wealth = new Float64Array(bets);
  }

  /**
   * Lays the next share, equally on all bets, then `play` makes of the wealth of each bet, and the total, its next by a
   * fair rule. Returns the log of the total.
   */
  step(play: (own: number, bet: number, total: number) => number): number {
    const wealth = this.#wealth;
    const fresh = ((aside(this.#steps) - aside(++this.#steps)) * Math.exp(-this.#scale)) / wealth.length;
    change(wealth, (own) => own + fresh);
    const laid = sum(wealth);
    change(wealth, (own, bet) => play(own, bet, laid));
    const total = sum(wealth);
    change(wealth, (own) => own / total);
    this.#scale += Math.log(total);
    const rest = Math.log(aside(this.#steps));
    return Math.max(this.#scale, rest) + Math.log1p(Math.exp(-Math.abs(this.#scale - rest)));
  }
}
