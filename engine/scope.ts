// Ownership: which handles a piece of code made, so that they can be freed together. Knows tensors only as disposables.

import { checkFunction } from "./checks.ts";
import { ArgumentError } from "./errors.ts";

/** Something a scope can free. */
export interface Owned {
  dispose(): void;
  /** What the end of its scope does: the handle goes, but nobody said that its memory is no longer wanted. */
  leaveScope(): void;
}

const stack: Scope[] = [];

/** Frees on `dispose()` everything that was made while it was the innermost scope, except what was kept. */
export class Scope {
  readonly #owned = new Set<Owned>();
  #isOpen = true;

  constructor() {
    stack.push(this);
  }

  /** @internal */
  add(owned: Owned): void {
    this.#owned.add(owned);
  }

  /** @internal */
  remove(owned: Owned): void {
    this.#owned.delete(owned);
  }

  /** Takes `value` out of the scope (into the one around it, if any) and returns it. */
  keep<T>(value: T): T {
    for (const owned of ownedIn(value)) {
      if (!this.#owned.delete(owned)) continue;
      stack[stack.indexOf(this) - 1]?.add(owned);
    }
    return value;
  }

  dispose(): void {
    if (!this.#isOpen) return;
    // What was opened inside and never closed (an error passed through it) closes first.
    while (stack.at(-1) !== this) stack.at(-1)?.dispose();
    this.#isOpen = false;
    stack.pop();
    for (const owned of this.#owned) owned.leaveScope();
    this.#owned.clear();
  }

  [Symbol.dispose](): void {
    this.dispose();
  }
}

/** Opens a scope that `using` closes: `using s = openScope()`. */
export function openScope(): Scope {
  return new Scope();
}

/**
 * Runs `fn` and frees every tensor it made, except those it returns (alone, or in arrays and plain objects) and leaf
 * gradients. `fn` must be synchronous: a scope that stayed open across an `await` would catch other code's tensors.
 *
 * @example
 * ```ts
 * import { exp, scope, sum, tensor } from "sortie/engine";
 *
 * const x = tensor([0, 0]);
 * const total = scope(() => sum(exp(x))); // exp(x) is freed, the result stays
 * console.log(await total.item()); // 2
 * ```
 */
export function scope<T>(fn: () => T): T {
  checkFunction("scope", "fn", fn);
  const current = new Scope();
  try {
    return current.keep(synchronous("scope", fn()));
  } finally {
    current.dispose();
  }
}

/**
 * What a function returned that must not be async; throws ArgumentError for a promise, whose outcome then is nobody's
 * concern.
 */
export function synchronous<T>(op: string, result: T): T {
  if (typeof (result as { then?: unknown } | undefined)?.then !== "function") return result;
  (result as unknown as Promise<unknown>).then(undefined, () => {});
  throw new ArgumentError(
    `${op}: fn must be synchronous; got a promise. Await reads outside, after returning the tensors.`,
  );
}

/** Takes a value out of the innermost scope for good: the caller disposes it. */
export function keep<T>(value: T): T {
  for (const owned of ownedIn(value)) for (const open of stack) open.remove(owned);
  return value;
}

/** Called by every new handle. */
export function track(owned: Owned): void {
  stack.at(-1)?.add(owned);
}

/** Called by a handle that is disposed early. */
export function untrack(owned: Owned): void {
  for (const open of stack) open.remove(owned);
}

function ownedIn(value: unknown): Owned[] {
  if (typeof value !== "object" || value === null) return [];
  if (Array.isArray(value)) return value.flatMap(ownedIn);
  if (typeof (value as Partial<Owned>).dispose === "function") return [value as Owned];
  const prototype = Object.getPrototypeOf(value);
  return prototype === Object.prototype || prototype === null ? Object.values(value).flatMap(ownedIn) : [];
}
