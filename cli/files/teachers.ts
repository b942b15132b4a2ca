// Where the larger network lies that a run learns from: in the run's own folder, or where the other runs of a
// comparison find it.

import { existsSync } from "node:fs";
import { join } from "node:path";
import type { Config } from "../settings/config.ts";
import { makePlan, teacherConfig } from "../settings/model.ts";
import { RunFolder, runId } from "./run-folder.ts";

/** Where runs of one folder find what others have made for them. */
export const placesIn = (out: string) => ({ teachers: join(out, "teachers"), phases: join(out, "phases") });

/** The settings of the larger network that a run trains first, into its own folder; undefined without one. */
export function ownTeacher(config: Config): Config | undefined {
  const { teacher } = makePlan(config);
  return teacher?.kind === "network" ? teacherConfig(config, teacher, RunFolder.of(config).dir) : undefined;
}

/** That network where others find it; undefined where the run has begun one of its own. */
export const sharedTeacher = (own: Config, teachers: string): Config | undefined =>
  existsSync(RunFolder.of(own).dir)
    ? undefined
    : { ...own, out: teachers, name: `${own.method.name}-${runId(own).slice(-8)}` };
