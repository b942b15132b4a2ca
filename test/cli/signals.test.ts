// What ends a training process from outside: signals, also to the program that started it, and an output that nobody
// takes.

import { spawn } from "node:child_process";
import { closeSync, mkdtempSync, openSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { constants, tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { readSafetensors } from "../../engine/index.ts";
import { gpuSuite } from "../gpu.ts";
import { assert } from "../harness.ts";

const test = gpuSuite("cli: stopped from outside", { timeout: 240_000 });
const out = mkdtempSync(join(tmpdir(), "sortie-signals-"));
test.after(() => rmSync(out, { recursive: true }));
const root = fileURLToPath(new URL("../..", import.meta.url));

const FLAGS =
  "--data.train 256 --data.validation 80 --data.calibration 80 --data.test 80 --epochs 500 --batch 64".split(" ");
const DIRECT = ["--import", "tsx", "cli/bin.ts", "train"];
const STARTED = ["scripts/start.mjs", "train"];

interface Ended {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly stdout: string;
  readonly stderr: string;
}

type Child = ReturnType<typeof spawn>;

/** Trains into `name`, does `act` at the first line of progress, and waits for the end. */
function stopped(
  name: string,
  program: readonly string[],
  act: (child: Child) => void,
  stdout?: number,
): Promise<Ended> {
  const args = [...program, ...FLAGS, "--out", out, "--name", name, "--train.logEvery", "1"];
  const child = spawn(process.execPath, args, { cwd: root, stdio: ["ignore", stdout ?? "pipe", "pipe"] });
  const said = { stdout: "", stderr: "" };
  let isDone = false;
  child.stdout?.setEncoding("utf8").on("data", (text: string) => {
    said.stdout += text;
    if (isDone || !said.stdout.includes(" step ")) return;
    isDone = true;
    act(child);
  });
  child.stderr?.setEncoding("utf8").on("data", (text: string) => {
    said.stderr += text;
  });
  return new Promise((resolve, reject) => {
    child.on("error", reject);
    child.on("close", (code, signal) => resolve({ code, signal, ...said }));
  });
}

function isAlive(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
}

/** The step of the checkpoint that a run left, which is all it left beside what says how it was made. */
async function stepOf(name: string): Promise<number> {
  const files = readdirSync(join(out, name));
  assert.equal(
    files.filter((file) => /lock|part|tmp/.test(file)),
    [],
  );
  const { metadata } = await readSafetensors(join(out, name, "last.safetensors"));
  return (JSON.parse(metadata["position"]!) as { step: number }).step;
}

for (const [signal, program] of [
  ["SIGTERM", DIRECT],
  ["SIGHUP", DIRECT],
  ["SIGTERM", STARTED],
] as const) {
  const how = program === DIRECT ? "" : ", to the program that started it";
  test(`${signal}${how}: a checkpoint, and the code of the signal`, async () => {
    const name = `${signal}-${program.length}`;
    const ended = await stopped(name, program, (child) => child.kill(signal));
    assert.is(ended.code, 128 + constants.signals[signal], ended.stdout + ended.stderr);
    const step = /resume at step (\d+) from/.exec(ended.stdout)?.[1];
    assert.is(await stepOf(name), Number(step), ended.stdout);
  });
}

test("one signal that is told twice, as terminals do, is one wish", async () => {
  const twice = await stopped("twice", DIRECT, (child) => {
    child.kill("SIGINT");
    setTimeout(() => child.kill("SIGINT"), 20);
  });
  assert.is(twice.code, 130);
  assert.ok((await stepOf("twice")) > 0);
});

test("what a native library prints of its own is not shown, and whoever kills the program kills its work", async () => {
  const ended = await stopped("killed", DIRECT, (child) => child.kill("SIGKILL"));
  assert.is(ended.signal, "SIGKILL");
  assert.is(ended.stderr, "");
  const { pid } = JSON.parse(readFileSync(join(out, "killed", "lock.json"), "utf8")) as { pid: number };
  for (let waited = 0; isAlive(pid); waited += 20) {
    assert.ok(waited < 5000, "the work goes on without the program");
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
});

test("a reader that goes away ends the run after a checkpoint, as a broken pipe does", async () => {
  const ended = await stopped("pipe", DIRECT, (child) => child.stdout?.destroy());
  assert.is(ended.code, 141, ended.stderr);
  assert.ok((await stepOf("pipe")) > 0);
});

test("a full output ends the run after a checkpoint, and says so", async () => {
  if (process.platform !== "linux") return;
  const full = openSync("/dev/full", "w");
  const ended = await stopped("full", DIRECT, () => {}, full);
  closeSync(full);
  assert.is(ended.code, 1, ended.stderr);
  assert.match(ended.stderr, "standard output must take what is printed; got ENOSPC.");
});
