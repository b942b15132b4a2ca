// Long sums in short chains: a chain of 16 terms is added to a block of 16 chains, a block to the whole. In one chain
// of f32 additions the error of equal terms grows with their number (10^-4 after 10^4); compensated sums do not survive
// compilers that reorder.

/** A running value that many terms join. */
export interface Sum {
  /** A variable that the caller declares; the body's text names it too. */
  readonly name: string;
  /** Its value before any term. */
  readonly start: string;
  /** The function that joins two of them; default `+`. */
  readonly join?: string;
}

/** Sums of one WGSL type that start at zero. */
export const sumsOf = (type: string, ...names: readonly string[]): Sum[] =>
  names.map((name) => ({ name, start: `${type}()` }));

/** Terms of a chain, and chains of a block. */
const CHAIN = "16u";

/** The loop `while (more) { body; next }` whose body adds to `sums`. */
export function chained(sums: readonly Sum[], more: string, next: string, body: string): string {
  const declare = (level: string): string =>
    sums.map(({ name, start }) => `var ${name}_${level} = ${start};`).join(" ");
  const join = (to: string, from: string): string =>
    sums
      .map(({ name, join }) => {
        const [a, b] = [name + to, name + from];
        return join ? `${a} = ${join}(${a}, ${b});` : `${a} += ${b};`;
      })
      .join(" ");
  const inner = sums.reduce(
    (text, { name }) => text.replaceAll(new RegExp(`(?<!\\.)\\b${name}\\b`, "g"), `${name}_chain`),
    body,
  );
  return `while (${more}) {
    ${declare("block")}
    for (var chains = 0u; chains < ${CHAIN} && (${more}); chains++) {
      ${declare("chain")}
      for (var terms = 0u; terms < ${CHAIN} && (${more}); terms++) { ${inner} ${next} }
      ${join("_block", "_chain")}
    }
    ${join("", "_block")}
  }`;
}
