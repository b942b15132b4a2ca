// Attributes and inputs of a case, watched: one that its runner never looks at would be a promise that nobody checked.

import type { CaseAttrs } from "./case.ts";

/** The same things by name, and which of them nobody has read so far. Listing keys is no reading. */
export function watched<T extends object>(given: T): { readonly seen: T; unread(): string[] } {
  const read = new Set<PropertyKey>();
  const seen = new Proxy(given, {
    get(target, key) {
      read.add(key);
      return Reflect.get(target, key);
    },
  });
  return { seen, unread: () => Object.keys(given).filter((name) => !read.has(name)) };
}

/** @throws Error where an input was not read. */
export function checkInputs(unread: readonly string[]): void {
  if (unread.length > 0) throw new Error(`input ${unread.join(", ")} is not used`);
}

/** The named attributes that the case has: what is handed on as options. */
export function pick<T>(attrs: CaseAttrs, ...names: readonly string[]): T {
  return Object.fromEntries(names.filter((name) => name in attrs).map((name) => [name, attrs[name]])) as T;
}

/** All attributes but some. */
export function without<T>(attrs: CaseAttrs, ...names: readonly string[]): T {
  return pick(attrs, ...Object.keys(attrs).filter((name) => !names.includes(name)));
}

/** Throws unless an attribute, where the case has it, is one of what the runner can do. */
export function demand(attrs: CaseAttrs, name: string, ...known: readonly unknown[]): void {
  if (!(name in attrs) || known.includes(attrs[name])) return;
  const list = known.map((value) => JSON.stringify(value)).join(", ");
  throw new Error(`attribute ${name} must be ${list}; got ${JSON.stringify(attrs[name])}`);
}
