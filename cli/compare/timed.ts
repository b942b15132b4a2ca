// What the certified cascades of a setting take, on each adapter and batch size by itself: milliseconds of two machines
// have no mean.

import { certifiedOf, type RunFigures } from "./figures.ts";
import { type Setting, type Spread, spreadOf } from "./statistics.ts";

/** Runs of a setting that were timed in one place. Milliseconds an image, means over these runs. */
export interface TimedRuns {
  readonly adapter: string;
  readonly batch: number;
  readonly whole: Spread;
  readonly cascade: Spread;
  /** Cascade as a share of the whole network, run by run. */
  readonly share: Spread;
  /** What the policy's costs promise for that share. */
  readonly promised: Spread;
}

/** Of runs whose policy is what their settings ask for, place by place, in the order in which places come first. */
export function timedRunsOf({ runs }: Pick<Setting, "runs">): readonly TimedRuns[] {
  const places = new Map<string, { readonly run: RunFigures; readonly timing: NonNullable<RunFigures["timing"]> }[]>();
  for (const run of runs) {
    const { timing, uncertified } = run;
    if (timing === undefined || uncertified !== undefined) continue;
    const place = JSON.stringify([timing.adapter, timing.batch]);
    places.set(place, [...(places.get(place) ?? []), { run, timing }]);
  }
  return [...places.values()].map((timed) => {
    const { adapter, batch } = timed[0]!.timing;
    return {
      ...{ adapter, batch },
      whole: spreadOf(timed.map(({ timing }) => timing.whole)),
      cascade: spreadOf(timed.map(({ timing }) => timing.cascade)),
      share: spreadOf(timed.map(({ timing }) => timing.cascade / timing.whole)),
      promised: spreadOf(timed.map(({ run }) => certifiedOf(run).cost)),
    };
  });
}
