// Files whole or not at all; data sets and the doctor from the command line.

import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { writeWhole } from "../../cli/files.ts";
import { main } from "../../cli/main.ts";
import { device, gpuSuite } from "../gpu.ts";
import { assert, errorOf, suite } from "../harness.ts";

const folder = mkdtempSync(join(tmpdir(), "sortie-files-"));
const test = suite("cli files", { skip: existsSync("/dev/full") ? undefined : "no /dev/full to be a full disk" });
test.after(() => rmSync(folder, { recursive: true }));

test("a full disk leaves the old file, and no half", async () => {
  const path = join(folder, "policy.json");
  writeWhole(path, "old");
  symlinkSync("/dev/full", `${path}.part`);
  const { message } = await errorOf(() => writeWhole(path, "new content"));
  assert.is(
    message,
    `${path} needs 11 bytes; the disk is full. Nothing half-written is left; free space and run the command again.`,
  );
  assert.is(readFileSync(path, "utf8"), "old");
  assert.equal(readdirSync(folder), ["policy.json"]);
});

test("what is in the way is named", async () => {
  const path = join(folder, "policy.json", "inside.json");
  const { message } = await errorOf(() => writeWhole(path, "x"));
  assert.ok(message.startsWith(`${path} must be writable; got E`), message);
});

const sets = suite("cli data");

async function run(...args: string[]): Promise<{ code: number; lines: string[] }> {
  const lines: string[] = [];
  const code = await main(args, (line) => lines.push(line));
  return { code, lines };
}

sets("list says what is there", async () => {
  const dir = mkdtempSync(join(tmpdir(), "sortie-sets-"));
  writeFileSync(join(dir, "train-labels-idx1-ubyte.gz"), "x");
  const { code, lines } = await run("data", "list", "--data-dir", dir);
  rmSync(dir, { recursive: true });
  assert.is(code, 0);
  assert.match(lines[0]!, /^ {2}glyphs +built in /);
  assert.match(lines[1]!, /^ {2}fashion-mnist +1 of 4 files /);
});

sets("verify reads what is drawn by code, and refuses missing and damaged files by name", async () => {
  const dir = mkdtempSync(join(tmpdir(), "sortie-sets-"));
  const missing = await run("data", "verify", "mnist", "--data-dir", dir);
  const image = join(dir, "train-images-idx3-ubyte.gz");
  assert.is(missing.code, 1);
  assert.match(missing.lines[0]!, `mnist: ${image} must exist; got no file.`);
  mkdirSync(dir, { recursive: true });
  writeFileSync(image, "not an image");
  const damaged = await run("data", "verify", "mnist", "--data-dir", dir);
  rmSync(dir, { recursive: true });
  assert.is(damaged.code, 1);
  assert.match(damaged.lines[0]!, `mnist: ${image} must have 9912422 bytes; got 12.`);
});

sets("bad arguments are told", async () => {
  const unknown = await run("data", "verify", "imagenet");
  assert.match(unknown.lines[0]!, "data: the data set must be one of glyphs, fashion-mnist, ");
  const action = await run("data", "eat", "mnist");
  assert.is(action.lines[0], 'data: the arguments must be list, verify NAME or download NAME; got "eat mnist".');
  assert.equal([unknown.code, action.code], [1, 1]);
});

const doctor = gpuSuite("cli doctor");

doctor("finds this machine fit, as text and as JSON", async () => {
  const { code, lines } = await run("doctor", "--json");
  const found = JSON.parse(lines.join("")) as {
    isFit: boolean;
    checks: { name: string }[];
    speed: { gigaflops: number };
  };
  assert.is(code, 0);
  assert.ok(found.isFit && found.checks.length >= 5 && found.speed.gigaflops > 0);
  const text = await run("doctor");
  assert.is(text.lines.filter((line) => line.startsWith("ok ")).length, found.checks.length);
  assert.ok(text.lines.some((line) => line.includes(device().info.description)));
});
