// What measures, and keeps what was measured: loaded where it is asked for, as one part, so that bundlers cut what all
// pages load into few.

export { profile } from "./profile.ts";
export { loadTuning } from "./tune-cache.ts";
export { tune } from "./tuning.ts";
