// Exit heads by name: what turns a stage's features into class scores. The one list that commands, files and help read.

import { attention } from "./attention.ts";
import type { HeadRecord } from "./head.ts";
import { msdnetHead } from "./multi-scale.ts";
import { convPoolLinear, poolLinear } from "./pooled.ts";
import { prototype } from "./prototype.ts";
import { conv1dLinear } from "./sequence.ts";
import { TAILS } from "./tails.ts";

const KINDS = {
  "gap-linear": TAILS["gap-linear"],
  "gap-norm-linear": TAILS["gap-norm-linear"],
  "pool-linear": poolLinear,
  "conv-pool-linear": convPoolLinear,
  "conv1d-linear": conv1dLinear,
  prototype,
  attention,
  msdnet: msdnetHead,
  "class-token": TAILS["class-token"],
  "mean-token": TAILS["mean-token"],
} as const satisfies { readonly [name: string]: HeadRecord };

/** Heads by name; see `HEADS`. */
export type HeadKind = keyof typeof KINDS;

/** Every head that a name stands for in architectures and commands. */
export const HEADS: Readonly<Record<HeadKind, HeadRecord>> = KINDS;
