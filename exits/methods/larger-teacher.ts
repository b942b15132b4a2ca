// What methods say of a teacher that is a larger network, trained first: by which method, how much larger, and which of
// its exits teaches.

import { type OptionValues, option } from "../../base/index.ts";
import type { Tensor } from "../../engine/functions.ts";
import { lastExit, taught } from "./losses.ts";
import type { Seen, Teacher } from "./method.ts";

/** Options of a larger teacher. */
export const LARGER_TEACHER = {
  teacherMethod: option.text("joint", "method that the teacher is trained by"),
  wider: option.number(2, "channels of the teacher, as a factor (imagenet-resnet has its next size instead)", {
    min: 1,
    basis: "this project",
  }),
  deeper: option.number(2, "blocks of the teacher's stages, as a factor", { min: 1, basis: "this project" }),
} as const;

/** The teacher that these options name. */
export const largerTeacher = ({ teacherMethod, wider, deeper }: OptionValues<typeof LARGER_TEACHER>): Teacher => ({
  kind: "network",
  method: teacherMethod,
  wider,
  deeper,
});

/** Whom an exit learns from. */
export const TEACHER_EXIT = option.choice(
  ["last", "same"],
  "the teacher's exit that teaches: its last, or the one of the same place",
);

/** The logits that teach each exit: those of the teacher's last exit, [N, 1, C], or of all, [N, K, C]. */
export function teachingLogits(op: string, seen: Pick<Seen, "teacher">, exit: "last" | "same"): Tensor {
  const teacher = taught(op, seen);
  return exit === "last" ? lastExit(teacher) : teacher;
}
