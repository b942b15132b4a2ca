// How the command prints figures, and reads arrays of other makers.

import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { RunFolder } from "../../cli/files/run-folder.ts";
import { storedArray } from "../../cli/files/stored-array.ts";
import { threshold } from "../../cli/format.ts";
import { assert, suite } from "../harness.ts";
import { readConfig } from "./read-config.ts";

const test = suite("cli: figures and arrays");

test("a threshold near 1 is shown by what is missing, a closed and an open exit by words", () => {
  assert.is(threshold(0.9), "0.9000");
  assert.is(threshold(1 - 2 ** -13), "1 - 1.2e-4");
  assert.is(threshold(Number.POSITIVE_INFINITY), "closed");
  assert.is(threshold(Number.NEGATIVE_INFINITY), "open to all");
});

test("bfloat16 is the upper half of a float, wherever it lies", () => {
  const bits = new Uint8Array(Uint16Array.of(0, 0x3f80, 0xc010, 0x7f80).buffer);
  const shifted = new Uint8Array(9);
  shifted.set(bits, 1);
  const array = storedArray("BF16", [4], (from, count) => shifted.subarray(1 + from, 1 + from + count));
  assert.equal([...array.all()], [0, 1, -2.25, Number.POSITIVE_INFINITY]);
  assert.equal([...array.read(2, 1)], [-2.25]);
});

test("starting over empties a folder of what a run leaves, and of nothing else", () => {
  const dir = mkdtempSync(join(tmpdir(), "sortie-fresh-"));
  try {
    const { config } = readConfig("train", ["--data", "glyphs", "--out", dir, "--name", "run"]);
    const folder = RunFolder.of(config);
    mkdirSync(folder.dir);
    const own = ["record", "policy", "evaluation", "report"] as const;
    for (const name of own) writeFileSync(folder.path(name), "{}");
    const others = ["notes.txt", "logits.txt"].map((name) => join(folder.dir, name));
    for (const path of [...others, folder.metrics]) writeFileSync(path, "x");
    folder.claim(config);
    const there = () => [...own.map((name) => folder.path(name)), folder.metrics].filter((path) => existsSync(path));
    assert.is(there().length, 5);
    folder.setAside();
    assert.equal(there(), []);
    assert.ok(others.every((path) => existsSync(path)));
    // What is refused, or killed before it is accepted, costs nothing.
    folder.putBack();
    folder.setAside();
    folder.setAside();
    folder.putBack();
    assert.is(there().length, 5);
    folder.setAside();
    folder.claim(config);
    folder.putBack();
    assert.equal(there(), []);
    assert.ok(others.every((path) => existsSync(path)) && existsSync(folder.path("config")));
  } finally {
    rmSync(dir, { recursive: true });
  }
});
