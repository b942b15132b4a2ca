// Records: values by name.

/** Whether a value is one, and no list. */
export const isRecord = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === "object" && value !== null && !Array.isArray(value);

/** What `fn` makes of each value, under its name. */
export function mapValues<T extends object, R>(record: T, fn: (value: T[keyof T]) => R): { [K in keyof T]: R } {
  return Object.fromEntries(Object.entries(record).map(([key, value]) => [key, fn(value as T[keyof T])])) as {
    [K in keyof T]: R;
  };
}
