// What a phase of a run works with.

import type { Generator } from "../../engine/functions.ts";
import type { Track } from "../methods/method.ts";
import type { MultiExit } from "../network/multi-exit.ts";
import type { Evaluator, Totals } from "./evaluator.ts";
import type { BatchSource, ImageSplits } from "./images.ts";
import type { Span } from "./phases.ts";
import type { TeacherRun } from "./teachers.ts";

/** Bytes that are kept unless the user says otherwise. */
export const KEEP = 512 * 2 ** 20;

/** What a phase works with. */
export interface PhaseParts {
  readonly net: MultiExit;
  readonly data: ImageSplits;
  readonly source: BatchSource;
  readonly span: Span;
  /** Of the run; it takes part where the phase does not say otherwise. */
  readonly teacher: TeacherRun | undefined;
  readonly generator: Generator;
  readonly totals: Totals;
  readonly options: { readonly seed?: number; readonly generators?: readonly Generator[]; readonly keepBytes?: number };
  /** All exits as they are now. */
  readonly evaluator: () => Promise<Evaluator>;
}

/** The teacher, where it takes part in the phase. */
export const askedOf = ({ span, teacher }: PhaseParts): TeacherRun | undefined =>
  span.phase.isTaught === false ? undefined : teacher;

/** Whether a track trains all of the network. */
export const trainsAll = (net: MultiExit, { trains }: Track): boolean =>
  !trains || [...net.namedParameters().keys()].every(trains);
