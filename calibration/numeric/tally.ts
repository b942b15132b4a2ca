// Values added up by group.

import { addTo } from "./arrays.ts";

/** How many values each of some groups has, and their sum. */
export class Tally {
  readonly counts: Float64Array;
  readonly sums: Float64Array;

  constructor(groups: number) {
    this.counts = new Float64Array(groups);
    this.sums = new Float64Array(groups);
  }

  add(group: number, value: number): void {
    addTo(this.counts, group, 1);
    addTo(this.sums, group, value);
  }

  /** NaN where nothing was added. */
  get means(): Float64Array {
    return this.sums.map((sum, group) => sum / this.counts[group]!);
  }
}
