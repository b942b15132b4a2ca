// Edits of a generated text that its source map follows.

import { decode, encode } from "@jridgewell/sourcemap-codec";

/** Replaces what stands from `start` to `end` of a text. */
export interface Edit {
  readonly start: number;
  readonly end: number;
  readonly text: string;
}

/** The text after edits, which lie apart and in order. */
export function edited(code: string, edits: readonly Edit[]): string {
  const pieces = edits.map(({ start, text }, i) => code.slice(edits[i - 1]?.end ?? 0, start) + text);
  return pieces.join("") + code.slice(edits.at(-1)?.end ?? 0);
}

/** Offsets at which the lines of a text begin. */
function lineStarts(code: string): number[] {
  const starts = [0];
  for (let at = code.indexOf("\n"); at >= 0; at = code.indexOf("\n", at + 1)) starts.push(at + 1);
  return starts;
}

/** The mappings of the text after edits; places within what was replaced go. */
export function editedMappings(code: string, edits: readonly Edit[], mappings: string): string {
  const before = lineStarts(code);
  const after = lineStarts(edited(code, edits));
  const lines: ReturnType<typeof decode> = after.map(() => []);
  let next = 0;
  let shift = 0;
  let line = 0;
  for (const [i, segments] of decode(mappings).entries()) {
    for (const segment of segments) {
      const at = (before[i] ?? 0) + segment[0];
      for (; next < edits.length && (edits[next]?.end ?? 0) <= at; next++) {
        const { start = 0, end = 0, text = "" } = edits[next] ?? {};
        shift += text.length - (end - start);
      }
      if ((edits[next]?.start ?? Number.POSITIVE_INFINITY) < at) continue;
      while ((after[line + 1] ?? Number.POSITIVE_INFINITY) <= at + shift) line += 1;
      segment[0] = at + shift - (after[line] ?? 0);
      lines[line]?.push(segment);
    }
  }
  return encode(lines);
}
