// WGSL functions in a kernel's text: the types that they are written in, and which of a table a text calls.

/** Aliases that the functions use: T of `compute`, and U, I, B of its width. */
export function mathTypes(width: 1 | 4, compute = "f32"): string {
  return [
    ["T", compute],
    ["U", "u32"],
    ["I", "i32"],
    ["B", "bool"],
  ]
    .map(([name, type]) => `alias ${name} = ${width === 4 ? `vec4<${type}>` : type};`)
    .join("\n");
}

/** Declarations of the functions of a table that `expr` calls, and of those that they call, in order. */
export function calledFunctions(expr: string, known: Readonly<Record<string, string>>): string[] {
  const names = new Set<string>();
  const add = (text: string, self?: string): void => {
    for (const word of new Set(text.match(/\w+(?=\()/g))) {
      if (word === self || names.has(word) || !Object.hasOwn(known, word)) continue;
      add(known[word]!, word);
      names.add(word);
    }
  };
  add(expr);
  return [...names].map((name) => known[name]!);
}
