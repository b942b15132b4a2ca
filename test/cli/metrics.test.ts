// `sortie metrics`: the CSV is read back, and the event file by TensorFlow's documented framing and message.

import { appendFileSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { runMetrics } from "../../cli/commands/metrics.ts";
import { crc32c } from "../../cli/files/event-file.ts";
import { assert, errorOf, suite } from "../harness.ts";
import { writeRun } from "./synthetic-run.ts";

const folder = mkdtempSync(join(tmpdir(), "sortie-metrics-"));
const test = suite("cli metrics");
test.after(() => rmSync(folder, { recursive: true }));

const run = writeRun(join(folder, "first"));
const other = writeRun(join(folder, "second"));

/** Reads a protobuf message: field number -> raw values. */
function fields(bytes: Uint8Array): Map<number, (Uint8Array | number)[]> {
  const found = new Map<number, (Uint8Array | number)[]>();
  let at = 0;
  const varint = (): number => {
    let [value, scale] = [0, 1];
    for (;;) {
      const byte = bytes[at++]!;
      value += (byte & 127) * scale;
      if (byte < 128) return value;
      scale *= 128;
    }
  };
  const take = (size: number): Uint8Array => {
    at += size;
    return bytes.slice(at - size, at);
  };
  while (at < bytes.length) {
    const key = varint();
    const kind = key & 7;
    const value = kind === 0 ? varint() : take(kind === 1 ? 8 : kind === 5 ? 4 : varint());
    found.set(key >> 3, [...(found.get(key >> 3) ?? []), value]);
  }
  return found;
}

/** Events of a file, whose checksums are checked. */
function readEvents(bytes: Uint8Array): Map<number, (Uint8Array | number)[]>[] {
  const events = [];
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const unmasked = (at: number) => {
    const rotated = (view.getUint32(at, true) - 0xa282ead8) >>> 0;
    return ((rotated << 15) | (rotated >>> 17)) >>> 0;
  };
  for (let at = 0; at < bytes.length; ) {
    const length = Number(view.getBigUint64(at, true));
    assert.is(unmasked(at + 8), crc32c(bytes.subarray(at, at + 8)), "checksum of a length");
    const data = bytes.subarray(at + 12, at + 12 + length);
    assert.is(unmasked(at + 12 + length), crc32c(data), "checksum of a record");
    events.push(fields(data));
    at += 16 + length;
  }
  return events;
}

const number = (value: Uint8Array | number | undefined): number => {
  const bytes = value as Uint8Array;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  return bytes.length === 8 ? view.getFloat64(0, true) : view.getFloat32(0, true);
};
const text = (value: Uint8Array | number | undefined): string => new TextDecoder().decode(value as Uint8Array);

test("CRC-32C of the published check string", () => {
  assert.is(crc32c(new TextEncoder().encode("123456789")), 0xe3069283);
});

test("prints a table with a row a measurement", async () => {
  const lines: string[] = [];
  assert.is(await runMetrics([run, other], (line) => void lines.push(...line.split("\n"))), 0);
  assert.is(
    lines[0],
    "run,kind,step,epoch,loss,lr,imagesPerSecond,exit1Loss,exit1Accuracy,exit2Loss,exit2Accuracy,exit3Loss,exit3Accuracy,isBest",
  );
  assert.is(lines.length, 7);
  assert.is(lines[2], "first,train,20,1,2,0.1,1,1,0.5,0.9,0.6,0.8,0.7,");
  assert.match(lines[6]!, /^second,evaluation,20,1,,,,1\.1,0\.5,.*,1$/);
});

test("event files hold every scalar, at the time that training had come to", async () => {
  const logs = join(folder, "logs");
  assert.is(await runMetrics([run, other, "--tensorboard", logs], () => {}), 0);
  assert.equal(readdirSync(logs).sort(), ["first", "second"]);
  const [file] = readdirSync(join(logs, "first"));
  assert.match(file!, /^events\.out\.tfevents\.1767225600\.sortie$/);
  const [version, ...events] = readEvents(readFileSync(join(logs, "first", file!)));
  assert.is(text(version!.get(3)![0]), "brain.Event:2");
  assert.equal(
    events.map((event) => event.get(2)![0]),
    [1, 20, 20],
  );
  const scalars = events.map((event) =>
    Object.fromEntries(
      (fields(event.get(5)![0] as Uint8Array).get(1) as Uint8Array[]).map((value) => {
        const one = fields(value);
        return [text(one.get(1)![0]), number(one.get(2)![0])];
      }),
    ),
  );
  assert.is(scalars[1]!["train/loss"], 2);
  assert.is(scalars[1]!["train/accuracy/stage2"], Math.fround(0.6));
  assert.is(scalars[2]!["validation/loss/stage1"], Math.fround(1.1));
  const times = events.map((event) => number(event.get(1)![0]));
  assert.ok(times[0]! > 1767225600 && times[1]! > times[0]! && times[2] === times[1], times.join());
});

test("a run that still trains is watched to its end; half a line is none", async () => {
  const going = writeRun(join(folder, "going"));
  const record = JSON.parse(readFileSync(join(going, "run.json"), "utf8"));
  const finished = record.finished;
  delete record.finished;
  writeFileSync(join(going, "run.json"), JSON.stringify(record));
  const rows = readFileSync(join(going, "metrics.jsonl"), "utf8");
  appendFileSync(join(going, "metrics.jsonl"), '{"kind":"train","st');
  const csv = join(folder, "going.csv");
  const logs = join(folder, "going-logs");
  const watching = runMetrics([going, "--csv", csv, "--tensorboard", logs, "--watch"], () => {});
  while (!readdirSync(folder).includes("going.csv")) await new Promise((resolve) => setTimeout(resolve, 10));
  assert.is(readFileSync(csv, "utf8").trim().split("\n").length, 4);
  const events = join(logs, "going", readdirSync(join(logs, "going"))[0]!);
  const { ino } = statSync(events);
  assert.is(readEvents(readFileSync(events)).length, 4);
  writeFileSync(join(going, "metrics.jsonl"), rows + rows);
  writeFileSync(join(going, "run.json"), JSON.stringify({ ...record, finished }));
  assert.is(await watching, 0);
  assert.is(readFileSync(csv, "utf8").trim().split("\n").length, 7);
  assert.equal(
    [statSync(events).ino, readEvents(readFileSync(events)).length],
    [ino, 7],
    "it grows, as readers expect",
  );
});

test("what is no run, and a table over a file of the run, are refused", async () => {
  const said = async (...args: string[]) => (await errorOf(() => runMetrics(args, () => {}))).message;
  assert.match(await said(join(folder, "none")), /none must be the folder of a run; there is none/);
  assert.match(await said(run, "--watch"), /--watch must have something to write/);
  assert.match(await said(run, "--csv", join(run, "metrics.jsonl")), /--csv/);
});
