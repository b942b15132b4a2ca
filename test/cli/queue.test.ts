// Runs through real queues, which the tests start themselves: workers that are killed, stopped or unfit lose nothing,
// and no run is done twice. What of it needs no server: ids, archives, addresses.

import { type ChildProcess, spawn } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { zipSync } from "fflate";
import { waitFor } from "../../cli/compare/remote.ts";
import { version } from "../../cli/files/versions.ts";
import { main } from "../../cli/main.ts";
import { type Artefacts, artefactNames, openArtefacts, packRun, unpackRun } from "../../cli/queue/artefacts.ts";
import { openQueue } from "../../cli/queue/bullmq.ts";
import { jobId, queueAddress, type RunQueue } from "../../cli/queue/queue.ts";
import type { Plain } from "../../cli/settings/settings.ts";
import { adapterSuite } from "../gpu.ts";
import { assert, errorOf, failsWith, suite } from "../harness.ts";
import { readConfig } from "./read-config.ts";
import {
  freePort,
  postgresFolder,
  type Server,
  startPostgres,
  startS3,
  startValkey,
  valkeyProgram,
} from "./servers.ts";

const root = fileURLToPath(new URL("../..", import.meta.url));

async function sortie(...args: string[]): Promise<{ code: number; text: string }> {
  const lines: string[] = [];
  const code = await main(args, (line) => lines.push(line));
  return { code, text: lines.join("\n") };
}

/** Waits until something is so. */
async function until(what: string, is: () => boolean | Promise<boolean>): Promise<void> {
  for (let waited = 0; !(await is()); waited += 100) {
    assert.ok(waited < 300_000, `${what} does not come about`);
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}

interface WorkerProcess {
  readonly child: ChildProcess;
  readonly said: { text: string };
  readonly ended: Promise<number | null>;
}

function startWorker(...args: string[]): WorkerProcess {
  const child = spawn(process.execPath, ["--import", "tsx", "cli/bin.ts", "worker", ...args], { cwd: root });
  const said = { text: "" };
  for (const stream of [child.stdout, child.stderr])
    stream.setEncoding("utf8").on("data", (text: string) => {
      said.text += text;
    });
  return { child, said, ended: new Promise((resolve) => child.on("close", resolve)) };
}

const foldersOfWorkers = () => readdirSync(tmpdir()).filter((name) => name.startsWith("sortie-worker-"));

const SMALL = [
  ...["--data.train", "256", "--data.validation", "100", "--data.calibration", "200", "--data.test", "100"],
  ...["--model.widths", "4,4,8", "--batch", "64", "--train.warmup", "2", "--alpha", "0.97"],
];
const configOf = (...flags: string[]) => readConfig("test", [...SMALL, ...flags]).config;
const jobOf = (artefacts: Artefacts, ...flags: string[]) => ({
  sortie: version(),
  config: configOf(...flags) as unknown as Plain,
  artefacts: artefacts.place,
});

/** What is done by a queue: long enough to lose its worker twice. */
const EPOCHS = 24;
const LONG = ["--epochs", String(EPOCHS), "--train.checkpointEvery", "8", "--seed", "5", "--method", "joint"];

/** The folder of the same run without any queue; made once, for all servers. */
let alone: Promise<string> | undefined;
const reference = mkdtempSync(join(tmpdir(), "sortie-queue-alone-"));
function trainedAlone(): Promise<string> {
  alone ??= (async () => {
    const { code, text } = await sortie("train", ...SMALL, ...LONG, "--out", reference, "--name", "alone");
    assert.is(code, 0, text);
    return join(reference, "alone");
  })();
  return alone;
}

/** The same tests on each server, with results in a folder or in a bucket. */
function queueSuite(name: string, skip: string | undefined, open: () => Promise<readonly [Server, string]>): void {
  const test = adapterSuite(`cli queue: ${name}`, { timeout: 900_000, skip });
  let dir: string;
  let server: Server;
  let place: string;
  let queue: RunQueue;
  let artefacts: Artefacts;
  test.before(async () => {
    dir = mkdtempSync(join(tmpdir(), "sortie-queue-"));
    [server, place] = await open();
    queue = await openQueue("test", server.url);
    artefacts = await openArtefacts("test", place);
  });
  test.after(async () => {
    await queue.close();
    await server.stop();
    rmSync(dir, { recursive: true });
  });

  test("a run that lost its worker to kill -9, and another to SIGTERM, is done once and ends in the same bits; one that cannot be done fails", async () => {
    const [out, plan] = [join(dir, "here"), join(dir, "plan.json")];
    // Two names for one thing: it is done once.
    const methods = ["joint", { label: "twin", name: "joint" }];
    writeFileSync(
      plan,
      JSON.stringify({ methods, seeds: [5], settings: { train: { epochs: EPOCHS, checkpointEvery: 8 } } }),
    );
    const id = jobId(configOf(...LONG));
    const begun = async () => Buffer.from((await artefacts.get(artefactNames(id).begun)) ?? []);
    const compared = sortie(
      ...["compare", "--config", plan, "--out", out, "--no-timing", ...SMALL],
      ...["--queue", server.url, "--artefacts", place],
    );
    const killed = startWorker(server.url, "--lock", "2");
    await until("the first checkpoint", async () => (await begun()).length > 0);
    killed.child.kill("SIGKILL");
    await killed.ended;
    const left = foldersOfWorkers();
    assert.ok(left.length > 0);

    const stopped = startWorker(server.url, "--lock", "2");
    await until("another worker", () => stopped.said.text.includes("goes on"));
    const before = await begun();
    await until("its checkpoint", async () => !before.equals(await begun()));
    stopped.child.kill("SIGTERM");
    assert.is(await stopped.ended, 143, stopped.said.text);
    assert.match(stopped.said.text, `${id}: handed back`);
    assert.equal(await queue.state(id), { kind: "waiting" });

    const last = startWorker(server.url, "--lock", "2");
    const { code, text } = await compared;
    assert.is(code, 0, text);
    assert.match(last.said.text, "goes on");
    assert.is(
      [killed, stopped, last]
        .map(({ said }) => said.text)
        .join()
        .split(": done").length,
      2,
    );
    assert.equal(await queue.state(id), { kind: "done" });
    assert.is((await begun()).length, 0, "what had begun is tidied away");

    // A run that cannot be done anywhere fails with its reason, and the worker takes the next.
    const { config, ...job } = jobOf(artefacts, "--epochs", "1");
    await queue.add("run-none", { ...job, config: { ...config, train: { epochs: -1 } } });
    await queue.add("run-nan", { ...job, config: { ...config, train: { ...(config["train"] as Plain), lr: 1e30 } } });
    await until("the end of both", async () => (await queue.state("run-nan")).kind === "failed");
    const [none, nan] = [await queue.state("run-none"), await queue.state("run-nan")];
    assert.match(none.kind === "failed" ? none.reason : none.kind, /job run-none.*epochs/);
    assert.match(nan.kind === "failed" ? nan.reason : nan.kind, /train: .*loss/);
    last.child.kill("SIGTERM");
    assert.is(await last.ended, 143);
    assert.equal(
      foldersOfWorkers().filter((name) => left.includes(name)),
      [],
      "what the killed one left is tidied away",
    );

    const wanted = await trainedAlone();
    for (const label of ["joint", "twin"])
      for (const file of ["last.safetensors", "best.safetensors", "logits.test.safetensors"]) {
        const [one, other] = [join(wanted, file), join(out, `glyphs-resnet-${label}-seed5`, file)];
        assert.ok(tensorBytes(one).equals(tensorBytes(other)), `${label}: ${file}`);
      }
  });

  test("what was done for one comparison is fetched for another, without any worker", async () => {
    const out = join(dir, "there");
    const { code, text } = await sortie(
      ...["compare", "--config", join(dir, "plan.json"), "--out", out, "--no-timing", ...SMALL],
      ...["--queue", server.url, "--artefacts", place],
    );
    assert.is(code, 0, text);
    assert.not.match(text, "in the queue");
    const { config } = readConfig("test", ["--config", join(out, "glyphs-resnet-joint-seed5", "config.json")]);
    assert.is(config.out, out, "the folder is one of this comparison");
  });

  test("a run that this machine cannot do is handed back, and the worker says why and ends", async () => {
    const old = { ...jobOf(artefacts, "--epochs", "1"), sortie: "0.0.1" };
    const { config } = readConfig("test", ["--data", "fashion-mnist", "--data-dir", join(dir, "nowhere")]);
    const foreign = { ...old, sortie: version(), config: config as unknown as Plain };
    for (const [id, job, why] of [
      ["run-old", old, /runs must be of sortie [\d.]+, which this is; got one of 0\.0\.1/],
      ["run-foreign", foreign, /the 4 files of fashion-mnist must be in .*elsewhere.*; got 0 of them\. .*--data-dir/],
    ] as const) {
      await queue.add(id, job);
      const { code, text } = await sortie("worker", server.url, "--data-dir", join(dir, "elsewhere"));
      assert.is(code, 1, text);
      assert.match(text, why);
      assert.equal(await queue.state(id), { kind: "waiting" }, "another machine may do it");
      assert.is(await takeOne(queue), id);
    }
  });

  test("whoever was silent for longer than its lock knows that the run is no longer its own", async () => {
    await queue.add("run-deaf", jobOf(artefacts));
    const stop = new AbortController();
    let taken = 0;
    await queue.work(
      async ({ lost }) => {
        taken += 1;
        if (taken > 1) {
          stop.abort();
          return "done";
        }
        sleepDeaf(2500);
        await until("knowing it", () => lost.aborted);
        return "handed back";
      },
      { stop: stop.signal, lock: 1, print: () => {} },
    );
    assert.is(taken, 2);
    assert.equal(await queue.state("run-deaf"), { kind: "done" });
  });
}

/** Keeps this process from doing anything, timers included. */
const sleepDeaf = (milliseconds: number) => Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, milliseconds);

/** Takes what waits, and calls it done. */
async function takeOne(queue: RunQueue): Promise<string> {
  const stop = new AbortController();
  let taken = "";
  const handle = async ({ id }: { readonly id: string }) => {
    taken = id;
    stop.abort();
    return "done" as const;
  };
  await queue.work(handle, { stop: stop.signal, lock: 30, print: () => {} });
  return taken;
}

/** A safetensors file without its header, which tells when it was made. */
function tensorBytes(path: string): Buffer {
  const bytes = readFileSync(path);
  return bytes.subarray(8 + Number(bytes.readBigUInt64LE(0)));
}

const shared = mkdtempSync(join(tmpdir(), "sortie-artefacts-"));
queueSuite(
  "PostgreSQL, results in a folder",
  postgresFolder() ? undefined : "PostgreSQL is not installed (Debian: postgresql)",
  async () => [await startPostgres(), shared],
);

const outer = { ...process.env };
queueSuite(
  "Valkey, results in S3",
  valkeyProgram() ? undefined : "neither valkey-server nor redis-server is installed",
  async () => {
    const [valkey, s3] = [await startValkey(), await startS3("runs")];
    Object.assign(process.env, s3.env);
    const stop = async () => {
      for (const key of Object.keys(s3.env)) if (outer[key] === undefined) delete process.env[key];
      await valkey.stop();
      await s3.stop();
    };
    return [{ url: valkey.url, stop }, "s3://runs/some/where"];
  },
);

const bucket = suite("cli queue: results in S3");
bucket("are there whole or not at all, and what is wrong with a bucket is told", async () => {
  const s3 = await startS3("runs");
  Object.assign(process.env, s3.env);
  try {
    const results = await openArtefacts("worker", "s3://runs/a/b/");
    assert.is(await results.get("x.zip"), undefined);
    const content = Uint8Array.from({ length: 300_000 }, (_, i) => i % 251);
    await results.put("x.zip", content);
    assert.ok(Buffer.from(content).equals((await results.get("x.zip"))!));
    await (await openArtefacts("worker", "s3://runs")).remove("a/b/x.zip");
    assert.is(await results.get("x.zip"), undefined);
    const none = await openArtefacts("worker", "s3://nowhere");
    assert.match(
      (await errorOf(() => none.get("x.zip"))).message,
      /^worker: s3:\/\/nowhere must be reachable; got NoSuchBucket/,
    );
    await s3.stop();
    assert.match(
      (await errorOf(() => results.get("x.zip"))).message,
      /^worker: s3:\/\/runs\/a\/b\/ must be reachable; got .*ECONNREFUSED/,
    );
  } finally {
    for (const key of Object.keys(s3.env)) if (outer[key] === undefined) delete process.env[key];
  }
});

bucket("a transfer that breaks off is begun again, and given up after the third", async () => {
  let breaks = 2;
  const server = createServer((_, answer) => {
    answer.writeHead(200, { "content-length": "10" });
    if (breaks-- > 0) answer.write("01234", () => answer.destroy());
    else answer.end("0123456789");
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  const keys = { AWS_ACCESS_KEY_ID: "a", AWS_SECRET_ACCESS_KEY: "b", AWS_REGION: "us-east-1" };
  const set = { ...keys, AWS_ENDPOINT_URL_S3: `http://127.0.0.1:${port}` };
  Object.assign(process.env, set);
  try {
    const results = await openArtefacts("worker", "s3://runs");
    assert.is(Buffer.from((await results.get("x.zip"))!).toString(), "0123456789");
    breaks = 3;
    assert.match((await errorOf(() => results.get("x.zip"))).message, /^worker: s3:\/\/runs must be reachable; got /);
    assert.is(breaks, 0);
  } finally {
    for (const key of Object.keys(set)) if (outer[key] === undefined) delete process.env[key];
    server.closeAllConnections();
    server.close();
  }
});

const test = suite("cli queue: what needs no server");
test.after(() => {
  rmSync(shared, { recursive: true });
  rmSync(reference, { recursive: true });
});

test("a run is named by what decides its results, not by where it lies", () => {
  const id = jobId(configOf());
  for (const flags of [
    ["--out", "elsewhere"],
    ["--name", "mine"],
    ["--train.checkpointEvery", "3"],
    ["--data-dir", "x"],
  ])
    if (flags[0] !== "--data-dir") assert.is(jobId(configOf(...flags)), id, flags.join(" "));
  for (const flags of [
    ["--seed", "2"],
    ["--epochs", "9"],
    ["--alpha", "0.5"],
    ["--method", "joint"],
  ])
    assert.not.equal(jobId(configOf(...flags)), id, flags.join(" "));
  assert.is(
    jobId(readConfig("test", ["--data", "fashion-mnist", "--data-dir", "a"]).config),
    jobId(readConfig("test", ["--data", "fashion-mnist", "--data-dir", "b"]).config),
  );
});

test("a run folder travels whole, without its lock, and what makes it finished arrives last", () => {
  const dir = mkdtempSync(join(tmpdir(), "sortie-pack-"));
  const [from, to] = [join(dir, "from"), join(dir, "to")];
  mkdirSync(join(from, "teacher"), { recursive: true });
  const files = { "run.json": "{}", "zz.txt": "z", "lock.json": "me", "teacher/last.safetensors": "weights" };
  for (const [name, text] of Object.entries(files)) writeFileSync(join(from, name), text);
  unpackRun(packRun(from), to, "run.json");
  assert.is(readFileSync(join(to, "teacher", "last.safetensors"), "utf8"), "weights");
  assert.not(existsSync(join(to, "lock.json")));

  // A folder in the way of another file: what comes last is not there.
  const hindered = join(dir, "hindered");
  mkdirSync(join(hindered, "zz.txt"), { recursive: true });
  assert.throws(() => unpackRun(packRun(from), hindered, "run.json"));
  assert.not(existsSync(join(hindered, "run.json")));
  for (const name of ["../evil", "/evil", "a/../../evil"])
    assert.throws(
      () => unpackRun(zipSync({ [name]: new Uint8Array(1) }), to, "run.json"),
      /must stay within its folder/,
    );
  assert.not(existsSync(join(dir, "evil")));
  rmSync(dir, { recursive: true });
});

test("a queue that is away for a while is waited for, and a run that is nowhere is told", async () => {
  const states = [
    () => Promise.reject(new Error("gone")),
    async () => ({ kind: "active", said: "host: step 1" }) as const,
    async () => ({ kind: "done" }) as const,
  ];
  const lines: string[] = [];
  const run = { name: "mine", id: "run-1", config: configOf(), data: "d", backbone: "b", method: "m", seed: 1 };
  const failed = await waitFor([run], {
    queue: { state: () => states.shift()!() },
    artefacts: await openArtefacts("compare", shared),
    print: (line) => lines.push(line),
  });
  assert.equal(lines, ["mine  the queue is away: gone", "mine  at work, host: step 1", "mine  done"]);
  assert.match(failed.get("mine") ?? "", /run-1\.zip must be in .*Give the worker the same --artefacts/);
});

test("addresses are told without what must not be seen", async () => {
  assert.is(queueAddress("x", "postgres://me:hush@db/runs?sslmode=require").place, "postgres://db:5432/runs");
  assert.is(queueAddress("x", "valkeys://:hush@db:7000").url, "rediss://:hush@db:7000");
  const port = await freePort();
  for (const scheme of ["postgres", "redis"]) {
    const start = performance.now();
    const { message } = await errorOf(() => openQueue("compare", `${scheme}://me:hush-hush@127.0.0.1:${port}/0`));
    assert.match(
      message,
      `compare: the queue at ${scheme}://127.0.0.1:${port}/0 must answer; got connect ECONNREFUSED`,
    );
    assert.not.match(message, "hush");
    assert.ok(performance.now() - start < 8000);
  }
});

test("bad input is refused before anything is done", async () => {
  const out = join(shared, "never");
  for (const [args, message] of [
    [["worker"], /worker: the address of one queue must be given; got 0/],
    [
      ["worker", "kafka://me:hush@h"],
      /worker: the queue must be an address like .*; got the scheme kafka\. Known are postgres/,
    ],
    [["worker", "me:hush@h:5432"], /must be an address like/],
    [["worker", "redis://h", "--lock", "0"], /--lock must be .*at least 1/],
    [["compare", "--methods", "joint", "--queue", "redis://h"], /--queue and --artefacts must be given together/],
    [["compare", "--methods", "joint", "--artefacts", "x"], /--queue and --artefacts must be given together/],
    [["compare", "--methods", "joint", "--queue", "redis://h", "--artefacts", "x", "--index", "1"], /without --index/],
  ] as const) {
    const { code, text } = await sortie(...args, ...(args[0] === "compare" ? ["--out", out] : []));
    assert.is(code, 1, text);
    assert.match(text, message);
    assert.not.match(text, "hush");
  }
  assert.not(existsSync(out));
  await failsWith(
    () => openArtefacts("compare", "gs://bucket/x"),
    "SortieError",
    "compare: --artefacts must be a folder or s3://BUCKET/PREFIX; got the scheme gs.",
  );
});
