// Optimisers that a page may load where it asks for them.

/** The modules of those that most pages do without. */
export const OPTIMIZER_PARTS = {
  adam: () => import("./adam.ts"),
  rmsprop: () => import("./rmsprop.ts"),
} as const;
