// What a call that must throw says: `ClassName: message`.

/** Fails if `fn` does not throw. */
export function messageOf(fn: () => unknown): string {
  try {
    fn();
  } catch (error) {
    return String(error);
  }
  throw new Error("the call must throw; it returned.");
}

/** The same for a promise. */
export async function rejectionOf(promise: Promise<unknown>): Promise<string> {
  return promise.then(
    () => {
      throw new Error("the promise must reject; it resolved.");
    },
    (error: unknown) => String(error),
  );
}
