// Optimisers that a page may load where it asks for them.

import type { Adam, AdamW } from "./adam.ts";
import type { RMSprop } from "./rmsprop.ts";

/** Those that most pages do without, by the module that holds them. */
export const OPTIMIZER_PARTS: {
  readonly adam: () => Promise<{ readonly Adam: typeof Adam; readonly AdamW: typeof AdamW }>;
  readonly rmsprop: () => Promise<{ readonly RMSprop: typeof RMSprop }>;
} = {
  adam: () => import("./adam.ts"),
  rmsprop: () => import("./rmsprop.ts"),
};
