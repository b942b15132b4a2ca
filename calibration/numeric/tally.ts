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

  /** Values of many groups, by hand: there are as many as samples, and curves count them again and again. */
  addAll(groups: ArrayLike<number>, values: ArrayLike<number>): void {
    for (let i = 0; i < groups.length; i++) this.add(groups[i]!, values[i]!);
  }

  /** NaN where nothing was added. */
  get means(): Float64Array {
    return this.sums.map((sum, group) => sum / this.counts[group]!);
  }
}
