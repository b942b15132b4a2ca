// How exits are told apart: by a colour that people with any colour vision see as another, a dash, and their name.

/** Dashes of lines; the last is for the exits behind. */
const DASHES = ["none", "7 4", "2 3", "10 3 2 3"] as const;

export const colourOf = (exit: number): string => `var(--exit-${Math.min(exit, DASHES.length - 1) + 1})`;
export const dashOf = (exit: number): string => DASHES[Math.min(exit, DASHES.length - 1)]!;
export const nameOf = (exit: number, exits: number): string =>
  exit === exits - 1 ? `exit ${exit + 1} (last)` : `exit ${exit + 1}`;
