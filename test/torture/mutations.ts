// Ways in which a file can be wrong: bits, words, lengths, pieces, and the numbers and names of texts.

import type { Random } from "../../calibration/index.ts";

/** Numbers at which readers go wrong. */
const WORDS = [
  0, 1, 2, 0x7f, 0x80, 0xff, 0x7fff, 0xffff, 0x10000, 0x7ffffffe, 0x7fffffff, 0x80000000, 0xfffffffe, 0xffffffff,
];
/** What stands in a text in place of a number or a word. */
const TOKENS = [
  "-1",
  "0",
  "1.5",
  "1e9",
  "1e400",
  "300000000",
  "2147483647",
  "99999999999999999999",
  "NaN",
  "null",
  "[]",
  '""',
  "false",
  "{}",
  "-0",
  "\u001b[31m",
];

type Mutation = (bytes: Uint8Array, random: Random) => Uint8Array;

const copy = (bytes: Uint8Array, change: (bytes: Uint8Array) => void): Uint8Array => {
  const changed = bytes.slice();
  if (changed.length > 0) change(changed);
  return changed;
};

const MUTATIONS: readonly Mutation[] = [
  (bytes, random) =>
    copy(bytes, (out) => {
      for (let n = 1 + random.below(4); n > 0; n--) out[random.below(out.length)]! ^= 1 << random.below(8);
    }),
  (bytes, random) =>
    copy(bytes, (out) => out.fill(random.below(256), random.below(out.length), random.below(out.length) + 4)),
  // Headers lie at the front; archives have theirs at the end.
  (bytes, random) => word(bytes, random, random.below(Math.min(bytes.length, 256))),
  (bytes, random) => word(bytes, random, bytes.length - 1 - random.below(Math.min(bytes.length, 256))),
  (bytes, random) => word(bytes, random, random.below(bytes.length)),
  (bytes, random) => bytes.slice(0, random.below(bytes.length + 1)),
  (bytes, random) => bytes.slice(random.below(bytes.length)),
  (bytes, random) => splice(bytes, random.below(bytes.length), 0, bytes.slice(0, random.below(64))),
  (bytes, random) => splice(bytes, random.below(bytes.length), random.below(64), new Uint8Array(0)),
  (bytes, random) => token(bytes, random),
  (bytes, random) => token(bytes, random),
  (bytes, random) => token(bytes, random),
  (bytes, random) => nest(bytes, random),
];

function word(bytes: Uint8Array, random: Random, at: number): Uint8Array {
  return copy(bytes, (out) => {
    const width = [1, 2, 4, 8][random.below(4)]!;
    const value = WORDS[random.below(WORDS.length)]!;
    const isLittle = random.below(2) === 0;
    for (let i = 0; i < width && at + i < out.length; i++) {
      const place = isLittle ? i : width - 1 - i;
      // Beyond four bytes the sign goes on, or zeros.
      out[at + i] = place < 4 ? (value >>> (8 * place)) & 255 : value === 0xffffffff ? 255 : 0;
    }
  });
}

function splice(bytes: Uint8Array, at: number, removed: number, put: Uint8Array): Uint8Array {
  return Uint8Array.from([...bytes.subarray(0, at), ...put, ...bytes.subarray(at + removed)]);
}

/** Replaces a number or a quoted word of a text. */
function token(bytes: Uint8Array, random: Random): Uint8Array {
  const text = Buffer.from(bytes.buffer, bytes.byteOffset, Math.min(bytes.length, 4096)).toString("latin1");
  const found = [...text.matchAll(/-?\d[\d.e+]*|"[^"]{0,40}"|'[^']{0,40}'/g)];
  if (found.length === 0) return word(bytes, random, random.below(bytes.length));
  const { 0: old, index } = found[random.below(found.length)]!;
  return splice(bytes, index, old.length, new TextEncoder().encode(TOKENS[random.below(TOKENS.length)]!));
}

/** Puts many brackets into a text. */
function nest(bytes: Uint8Array, random: Random): Uint8Array {
  const text = Buffer.from(bytes.buffer, bytes.byteOffset, Math.min(bytes.length, 4096)).toString("latin1");
  const at = text.indexOf(":", random.below(text.length));
  if (at < 0) return bytes.slice(random.below(bytes.length));
  const depth = [10, 1000, 20_000][random.below(3)]!;
  return splice(
    bytes,
    at + 1,
    0,
    new TextEncoder().encode(`${"[".repeat(depth)}${"]".repeat(random.below(2) * depth)}`),
  );
}

/** A file with one to three things wrong. */
export function mutated(bytes: Uint8Array, random: Random): Uint8Array {
  // A Buffer would share what it slices.
  let out: Uint8Array = new Uint8Array(bytes);
  for (let n = 1 + random.below(3); n > 0; n--) {
    if (out.length > 0) out = MUTATIONS[random.below(MUTATIONS.length)]!(out, random);
  }
  return out;
}
