// Attributes of a case, watched: one that its runner never looks at would be a promise that nobody checked.

import type { CaseAttrs } from "./case.ts";

/** The same attributes, and which of them nobody has read so far. Listing keys is no reading. */
export function watched(attrs: CaseAttrs): { readonly attrs: CaseAttrs; unread(): string[] } {
  const read = new Set<PropertyKey>();
  const proxy = new Proxy(attrs, {
    get(target, key) {
      read.add(key);
      return Reflect.get(target, key);
    },
  });
  return { attrs: proxy, unread: () => Object.keys(attrs).filter((name) => !read.has(name)) };
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
