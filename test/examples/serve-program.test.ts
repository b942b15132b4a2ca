// The program of examples/serve in a process of its own, and its batches, which wait for others until a deadline.

import { spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { Batcher } from "../../examples/serve/batcher.ts";
import { BusyError } from "../../examples/serve/errors.ts";
import type { Answers as Answered } from "../../exits/index.ts";
import { assert, atEnd, errorOf, suite } from "../harness.ts";
import { image, MODEL, measure, postBytes, root, until } from "./serving.ts";

const test = suite("serve: program and batches", { timeout: 60_000 });

test("a batch waits for others until its deadline, and no longer once it is full", async () => {
  const batches: number[] = [];
  const classify = async (given: Uint8Array | Float32Array): Promise<Answered> => {
    const count = given.length;
    batches.push(count);
    return {
      classes: new Int32Array(count),
      exits: new Int32Array(count),
      scores: new Float32Array(count),
      macs: new Float64Array(count),
    };
  };
  const batcher = new Batcher(classify, { batch: 4, deadline: 150, queue: 100 });
  const one = { values: Uint8Array.of(1), count: 1 };
  const start = performance.now();
  await Promise.all([batcher.answer(one), batcher.answer(one)]);
  const waited = performance.now() - start;
  assert.ok(waited >= 145, `answered after ${waited} ms`);
  const again = performance.now();
  await Promise.all([1, 2, 3, 4].map(() => batcher.answer(one)));
  assert.ok(performance.now() - again < 140, "a full batch waited");
  // A lot that does not fit opens the next batch; lots of another kind have batches of their own.
  const float = { values: Float32Array.of(1), count: 1 };
  const three = { values: new Uint8Array(3), count: 3 };
  await Promise.all([batcher.answer(three), batcher.answer(float), batcher.answer(three), batcher.answer(float)]);
  assert.equal(batches, [2, 4, 3, 2, 3]);
  await batcher.drain();
  assert.instance(await errorOf(() => batcher.answer(one)), BusyError);
});

test("the program serves a file, and ends by SIGTERM with all answered", async () => {
  const args = [
    join(root, "examples/serve/main.ts"),
    MODEL,
    "--port",
    "0",
    "--runtime",
    "wasm",
    "--deadline-ms",
    "400",
  ];
  const child = spawn(process.execPath, ["--import", "tsx", ...args], { cwd: root, stdio: ["ignore", "pipe", "pipe"] });
  atEnd(() => void child.kill("SIGKILL"));
  let said = "";
  child.stdout.setEncoding("utf8").on("data", (text: string) => {
    said += text;
  });
  child.stderr.setEncoding("utf8").on("data", (text: string) => {
    said += text;
  });
  await until(() => /listening on \S+\n/.test(said) || child.exitCode !== null, 40);
  const at = /listening on (\S+)/.exec(said)?.[1] ?? said;
  const asked = Array.from({ length: 10 }, (_, i) => postBytes(at, image(i)));
  let queued = 0;
  for (let i = 0; i < 100 && queued < 10; i++) queued = await measure(at, "sortie_queue_images");
  assert.is(queued, 10);
  child.kill("SIGTERM");
  assert.equal(
    (await Promise.all(asked)).map(({ status }) => status),
    new Array(10).fill(200),
  );
  if (child.exitCode === null) await once(child, "exit");
  assert.is(child.exitCode, 0, said);
  assert.match(said, /^all that was taken has been answered: 10 requests$/m);
});

test("the program tells bad flags", async () => {
  const refused = async (...args: string[]) => {
    const child = spawn(process.execPath, ["--import", "tsx", join(root, "examples/serve/main.ts"), ...args], {
      stdio: ["ignore", "ignore", "pipe"],
    });
    let text = "";
    child.stderr.setEncoding("utf8").on("data", (part: string) => {
      text += part;
    });
    const [code] = (await once(child, "close")) as [number];
    return [code, text.trim()];
  };
  assert.equal(await refused(MODEL, "--queue", "0"), [
    1,
    "serve: --queue must be a whole number of at least 1; got 0.",
  ]);
  assert.equal(await refused(MODEL, "--runtime", "cpu"), [
    1,
    'load: runtime must be one of webgpu, wasm, auto; got "cpu".',
  ]);
});
