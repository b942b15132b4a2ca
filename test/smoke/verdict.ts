// What becomes of a method on a small set: whether every exit is better than guessing.

/** Deviations of a guess above which an accuracy is no luck. */
const SURE = 3;

/** The least accuracy on `n` samples of so many classes that guessing does not reach. */
export function leastAccuracy(n: number, classes: number): number {
  const guess = 1 / classes;
  return guess + SURE * Math.sqrt((guess * (1 - guess)) / n);
}

/** `ok`, or which exits are no better than guessing. */
export function verdictOf(accuracies: readonly number[], n: number, classes: number): string {
  const least = leastAccuracy(n, classes);
  const collapsed = accuracies.flatMap((accuracy, j) => (accuracy > least ? [] : [j + 1]));
  return collapsed.length === 0 ? "ok" : `collapsed at exit ${collapsed.join(", ")}`;
}
