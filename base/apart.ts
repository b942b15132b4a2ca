// Whether parts of a data set keep to samples of their own, told by ids.

/** An id that stands twice, and the parts that it stands in (one twice, if it is the same). */
export interface Twice {
  readonly id: number;
  readonly first: string;
  readonly second: string;
}

/**
 * The first id that stands twice among all parts, in their order; undefined where every sample has an id of its own.
 */
export function firstTwice(parts: Readonly<Record<string, { readonly ids: Iterable<number> }>>): Twice | undefined {
  const owner = new Map<number, string>();
  for (const [second, { ids }] of Object.entries(parts)) {
    for (const id of ids) {
      const first = owner.get(id);
      if (first !== undefined) return { id, first, second };
      owner.set(id, second);
    }
  }
  return undefined;
}
