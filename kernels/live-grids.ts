// Grids of launches on the first `count` of `capacity` rows: as a rule on the host, and as a kernel where only the GPU
// knows the count.

import {
  ceilDiv,
  defineKernel,
  entry,
  GROUP,
  type Grid,
  LINEAR_GROUP,
  linearGrid,
  MAX_GROUPS,
  type RowAxis,
  reads,
  updates,
} from "./kernel.ts";

/** A launch that may follow the rows: its grid for all of them, and how that depends on them. */
export interface LiveLaunch {
  readonly grid: Grid;
  readonly rows: RowAxis | undefined;
}

/** The grid of a launch on the first `count` of `capacity` rows. For all rows it must be the launch's own grid. */
export function liveGrid(grid: Grid, { axis, units, perGroup, fold }: RowAxis, count = 1, capacity = 1): Grid {
  // Rows of a fraction of a unit are rounded up: the last group is then reached early, never late.
  const groups = Math.min(ceilDiv(count * ceilDiv(units, capacity), perGroup), ceilDiv(units, perGroup));
  const [x, y] = linearGrid(groups);
  const along = (i: 0 | 1 | 2): number => (i === axis ? groups : grid[i]);
  return fold ? [x, y, grid[2]] : [along(0), along(1), along(2)];
}

/** Words of a grid, as indirect dispatches take it. */
const GRID = 3;

/** Bytes of a grid, as indirect dispatches take it. */
export const GRID_BYTES = 4 * GRID;

/** In place of an axis: the groups lie over x and y, as by `linearGrid`. */
const FOLDED = 3;
/** In place of an axis: the grid stands, whatever the rows. */
const FIXED = 4;

/**
 * What the kernel is told of a launch, word by word: its grid for all rows, the axis that depends on the rows, units a
 * row and a group, and groups for all rows.
 */
const LAUNCH = ["x", "y", "z", "axis", "units", "per_group", "most"];

/** The words, in this order. */
function wordsOf({ grid, rows }: LiveLaunch, capacity: number): readonly number[] {
  if (!rows) return [...grid, FIXED, 0, 1, 0];
  const { axis, units, perGroup, fold } = rows;
  return [...grid, fold ? FOLDED : axis, ceilDiv(units, capacity), perGroup, ceilDiv(units, perGroup)];
}

/** `args` of `liveGrids` before it runs: room for a grid a launch, and behind all of these what is told of each. */
export const liveArguments = (launches: readonly LiveLaunch[], capacity: number): Uint32Array<ArrayBuffer> =>
  Uint32Array.from([
    ...new Array<number>(GRID * launches.length).fill(0),
    ...launches.flatMap((launch) => wordsOf(launch, capacity)),
  ]);

/**
 * `liveGrid` of `launches` launches on the first count[0] rows, at most u.capacity; `args` is laid out by
 * `liveArguments`.
 */
export const liveGrids = defineKernel({
  name: "liveGrids",
  bindings: () => ({
    count: reads("array<u32>"),
    args: updates("array<u32>"),
  }),
  uniforms: { launches: "u32", capacity: "u32" },
  source: () => `
${entry()} {
  let i = ${LINEAR_GROUP} * ${GROUP}u + li;
  if (i >= u.launches) { return; }
  let launch = u.launches * ${GRID}u + i * ${LAUNCH.length}u;
${LAUNCH.map((name, word) => `  let ${name} = args[launch + ${word}u];`).join("\n")}
  let live = min(count[0], u.capacity) * units;
  let groups = min(live / per_group + u32(live % per_group != 0u), most);
  var grid = vec3u(x, y, z);
  if (axis == ${FOLDED}u) {
    let lines = max(1u, groups / ${MAX_GROUPS}u + u32(groups % ${MAX_GROUPS}u != 0u));
    grid = vec3u(groups / lines + u32(groups % lines != 0u), lines, z);
  } else if (axis != ${FIXED}u) {
    grid[axis] = groups;
  }
${[0, 1, 2].map((word) => `  args[i * ${GRID}u + ${word}u] = grid[${word}];`).join("\n")}
}`,
  grid: ({ launches }) => linearGrid(ceilDiv(launches, GROUP)),
});
