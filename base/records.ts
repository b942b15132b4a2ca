// Records: values by name.

/** What `fn` makes of each value, under its name. */
export function mapValues<T extends object, R>(record: T, fn: (value: T[keyof T]) => R): { [K in keyof T]: R } {
  return Object.fromEntries(Object.entries(record).map(([key, value]) => [key, fn(value as T[keyof T])])) as {
    [K in keyof T]: R;
  };
}
