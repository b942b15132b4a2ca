// What phases ask of a run that not every run has: told before the first step, and not when a later phase begins.

import { ArgumentError } from "../../engine/functions.ts";
import { checkOneLabel } from "../methods/losses.ts";
import type { Phase, TrainingPlan } from "../methods/method.ts";
import type { MultiExit } from "../network/multi-exit.ts";
import { makerOf } from "../network/origin.ts";
import type { BatchSource } from "./images.ts";
import { trainsAll } from "./phase-parts.ts";
import { epochNumbers } from "./phases.ts";

/** What is known of a run before its first step. */
interface Planned {
  readonly net: MultiExit;
  readonly source: Pick<BatchSource, "isMixed">;
  readonly plan: Pick<TrainingPlan, "name" | "teacher">;
}

/** Checks all phases against the run that they are of. @throws ArgumentError for what one of them cannot work with. */
export function checkPhases(phases: readonly Phase[], planned: Planned): void {
  const { net, source, plan } = planned;
  const tracks = phases.flatMap((phase) => phase.tracks);
  if (tracks.some(({ skips }) => skips)) checkSkipping(phases, planned);
  // Weights of no length that fits, say; the first phase may be trained by others of them.
  for (const track of tracks) epochNumbers(track, net.exits, { epoch: 1, epochs: 1 });
  for (const { loss } of tracks) if (loss.oneLabel !== undefined) checkOneLabel(plan.name, loss.oneLabel, source);
  for (const phase of phases) if (phase.anew) maker(net, phase);
}

/** What makes the network again, for a phase that draws a part of it anew. @throws ArgumentError where nothing does. */
export function maker(net: MultiExit, { name }: Phase): NonNullable<ReturnType<typeof makerOf>> {
  const again = makerOf(net);
  if (again) return again;
  throw new ArgumentError(
    `train: the network must be made by buildNetwork(), as ${name} draws a part of it anew; got one that was not.`,
  );
}

/** Checks the tracks that leave samples out. @throws ArgumentError for what needs all samples everywhere. */
function checkSkipping(phases: readonly Phase[], { net, source, plan }: Planned): void {
  const isWhole = phases.every(({ tracks, isTaught = true }) =>
    tracks.every(
      (track) =>
        !track.skips || (trainsAll(net, track) && !track.equilibrium && !track.attack && !(plan.teacher && isTaught)),
    ),
  );
  if (!isWhole)
    throw new ArgumentError(
      "train: with skip all of the network must be trained, by labels alone; got one that is frozen in part, attacked or taught.",
    );
  const reader = Array.from({ length: net.exits }, (_, j) => j).find((j) => net.readsOf(j).fields.length > 0);
  if (reader !== undefined)
    throw new ArgumentError(`train: with skip no exit must look at others; got exit ${reader + 1}, which does.`);
  if (source.isMixed)
    throw new ArgumentError(
      "train: with skip images must have one label, by which an exit has handled them; got images blended by mixup. Train without mixup, or without skip.",
    );
}
