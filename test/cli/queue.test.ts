// Runs through real queues, which the tests start themselves: workers that are killed, stopped or unfit lose nothing,
// and no run is done twice.

import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { runId } from "../../cli/files/run-folder.ts";
import { version } from "../../cli/files/versions.ts";
import { type Artefacts, artefactNames, markPlace, openArtefacts } from "../../cli/queue/artefacts.ts";
import { openQueue } from "../../cli/queue/bullmq.ts";
import type { RunQueue } from "../../cli/queue/queue.ts";
import type { Plain } from "../../cli/settings/settings.ts";
import { adapterSuite } from "../gpu.ts";
import { assert, atEnd, errorOf, suite } from "../harness.ts";
import { run as sortie } from "./command-line.ts";
import { readConfig } from "./read-config.ts";
import { postgresFolder, type Server, startPostgres, startS3, startValkey, valkeyProgram } from "./servers.ts";

const root = fileURLToPath(new URL("../..", import.meta.url));

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

interface Surroundings {
  readonly env?: NodeJS.ProcessEnv;
  readonly uid?: number;
}

/** A user without a name, as containers have them, where this process may be another. */
const NAMELESS: Surroundings = process.getuid?.() === 0 ? { uid: 54_321 } : {};

const startWorker = (...args: string[]): WorkerProcess => startWorkerWith({}, ...args);

function startWorkerWith({ env, ...user }: Surroundings, ...args: string[]): WorkerProcess {
  const options = { cwd: root, env: { ...process.env, ...env }, ...user };
  const child = spawn(process.execPath, ["--import", "tsx", "cli/bin.ts", "worker", ...args], options);
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

/** A server, and where results go. */
interface Site {
  readonly dir: string;
  readonly server: Server;
  readonly place: string;
  readonly queue: RunQueue;
  readonly artefacts: Artefacts;
}

/** What there is of a run that was begun. */
const begunOf = async (artefacts: Artefacts, id: string): Promise<Buffer> =>
  Buffer.from((await artefacts.get(artefactNames(id).begun)) ?? []);

/** A worker takes the run and is killed; another goes on with it and is stopped, so that it waits again. */
async function losesTwoWorkers({ server, queue, artefacts }: Site, id: string) {
  const killed = startWorker(server.url, "--lock", "2");
  await until("the first checkpoint", async () => (await begunOf(artefacts, id)).length > 0);
  killed.child.kill("SIGKILL");
  await killed.ended;
  const left = foldersOfWorkers();
  assert.ok(left.length > 0);

  const stopped = startWorker(server.url, "--lock", "2");
  await until("another worker", () => stopped.said.text.includes("goes on"));
  const before = await begunOf(artefacts, id);
  await until("its checkpoint", async () => !before.equals(await begunOf(artefacts, id)));
  stopped.child.kill("SIGTERM");
  assert.is(await stopped.ended, 143, stopped.said.text);
  assert.match(stopped.said.text, `${id}: handed back`);
  assert.equal(await queue.state(id), { kind: "waiting" });
  return { killed, stopped, left };
}

/** A run that cannot be done anywhere fails with its reason, and the worker takes the next. */
async function failsWithItsReason({ queue, artefacts }: Site): Promise<void> {
  const { config, ...job } = jobOf(artefacts, "--epochs", "1");
  await queue.add("run-none", { ...job, config: { ...config, train: { epochs: -1 } } });
  await queue.add("run-nan", { ...job, config: { ...config, train: { ...(config["train"] as Plain), lr: 1e30 } } });
  await until("the end of both", async () => (await queue.state("run-nan")).kind === "failed");
  const [none, nan] = [await queue.state("run-none"), await queue.state("run-nan")];
  assert.match(none.kind === "failed" ? none.reason : none.kind, /job run-none.*epochs/);
  assert.match(nan.kind === "failed" ? nan.reason : nan.kind, /train: .*loss/);
}

async function isDoneOnce(site: Site): Promise<void> {
  const { dir, server, place, queue, artefacts } = site;
  const [out, plan] = [join(dir, "here"), join(dir, "plan.json")];
  // Two names for one thing: it is done once.
  const methods = ["joint", { label: "twin", name: "joint" }];
  writeFileSync(
    plan,
    JSON.stringify({ methods, seeds: [5], settings: { train: { epochs: EPOCHS, checkpointEvery: 8 } } }),
  );
  const id = runId(configOf(...LONG));
  const compared = sortie(
    ...["compare", "--config", plan, "--out", out, "--no-timing", ...SMALL],
    ...["--queue", server.url, "--artefacts", place],
  );
  const { killed, stopped, left } = await losesTwoWorkers(site, id);
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
  assert.equal(await queue.state(id), { kind: "done", artefacts: artefacts.place });
  assert.is((await begunOf(artefacts, id)).length, 0, "what had begun is tidied away");

  await failsWithItsReason(site);
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
}

async function isFetchedAgain({ dir, server, place }: Site): Promise<void> {
  const out = join(dir, "there");
  const { code, text } = await sortie(
    ...["compare", "--config", join(dir, "plan.json"), "--out", out, "--no-timing", ...SMALL],
    ...["--queue", server.url, "--artefacts", place],
  );
  assert.is(code, 0, text);
  assert.not.match(text, "in the queue");
  const { config } = readConfig("test", ["--config", join(out, "glyphs-resnet-joint-seed5", "config.json")]);
  assert.is(config.out, out, "the folder is one of this comparison");
}

async function isHandedBack({ dir, server, queue, artefacts }: Site): Promise<void> {
  const old = { ...jobOf(artefacts, "--epochs", "1"), sortie: "0.0.1" };
  const { config } = readConfig("test", ["--data", "fashion-mnist", "--data-dir", join(dir, "nowhere")]);
  const foreign = { ...old, sortie: version(), config: config as unknown as Plain };
  const own = (...flags: string[]) => jobOf(artefacts, "--epochs", "1", ...flags);
  const pictures = readConfig("test", ["--data", "folder", "--dir", join(dir, "pictures")]).config as unknown as Plain;
  const [elsewhere, noFolder, unshared] = ["elsewhere", "no-folder", "unshared"].map((name) => join(dir, name));
  writeFileSync(noFolder!, "");
  mkdirSync(unshared!);
  for (const [id, job, why, around = {}] of [
    ["run-old", old, /runs must be of sortie [\d.]+, which this is; got one of 0\.0\.1/, NAMELESS],
    ["run-foreign", foreign, /the 4 files of fashion-mnist must be in .*elsewhere.*; got 0 of them\. .*--data-dir/],
    ["run-pictures", { ...own(), config: pictures }, /what data\.dir names must be here; there is no .*elsewhere\. /],
    ["run-start", own("--from", join(dir, "none")), /what train\.from names must be here; there is no .*none\. /],
    ["run-results", { ...own(), artefacts: noFolder! }, /worker: --artefacts must be a folder that can be/],
    ["run-apart", { ...own(), artefacts: unshared! }, /must be a place that the comparison reaches too.* has none/],
    ["run-adapter", own(), /createDevice: a WebGPU adapter must exist/, { env: { VK_DRIVER_FILES: "/none" } }],
  ] as const) {
    await queue.add(id, job);
    const worker = startWorkerWith(around, server.url, "--data-dir", elsewhere!, "--lock", "1");
    assert.is(await worker.ended, 1, worker.said.text);
    assert.match(worker.said.text, why);
    assert.equal(await queue.state(id), { kind: "waiting" }, "another machine may do it");
    assert.is(await takeOne(queue), id);
  }
}

async function knowsWhatItLost({ queue, artefacts }: Site): Promise<void> {
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
  assert.equal(await queue.state("run-deaf"), { kind: "done", artefacts: artefacts.place });
}

/** The same tests on each server, with results in a folder or in a bucket. */
function queueSuite(name: string, skip: string | undefined, open: () => Promise<readonly [Server, string]>): void {
  const test = adapterSuite(`cli queue: ${name}`, { timeout: 900_000, skip });
  let site: Site;
  test.before(async () => {
    const [server, place] = await open();
    const [queue, artefacts] = [await openQueue("test", server.url), await openArtefacts("test", place)];
    await markPlace(artefacts);
    site = { dir: mkdtempSync(join(tmpdir(), "sortie-queue-")), server, place, queue, artefacts };
  });
  test.after(async () => {
    await site.queue.close();
    await site.server.stop();
    rmSync(site.dir, { recursive: true });
  });

  test("a run that lost its worker to kill -9, and another to SIGTERM, is done once and ends in the same bits; one that cannot be done fails", () =>
    isDoneOnce(site));
  test("what was done for one comparison is fetched for another, without any worker", () => isFetchedAgain(site));
  test("a run that this machine cannot do is handed back, and the worker says why and ends", () => isHandedBack(site));
  test("whoever was silent for longer than its lock knows that the run is no longer its own", () =>
    knowsWhatItLost(site));
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
atEnd(() => {
  for (const folder of [shared, reference]) rmSync(folder, { recursive: true });
});
queueSuite(
  "PostgreSQL, results in a folder",
  postgresFolder() ? undefined : "PostgreSQL is not installed (Debian: postgresql)",
  async () => [await startPostgres(), shared],
);

const several = suite("cli queue: PostgreSQL for several roles and machines", {
  skip: postgresFolder() ? undefined : "PostgreSQL is not installed (Debian: postgresql)",
  timeout: 120_000,
});

several("one role makes the tables, others work on them, and a clock that is off takes no run", async () => {
  const server = await startPostgres();
  const owner = await openQueue("test", server.url);
  const query = (text: string) =>
    execFileSync(join(postgresFolder() ?? "", "psql"), ["-q", "-d", server.url, "-c", text], { stdio: "pipe" });
  const url = server.url.replace("sortie:hush-hush", "worker");
  try {
    query("CREATE ROLE worker LOGIN");
    const { message } = await errorOf(() => openQueue("worker", url));
    assert.match(message, /must answer; got permission denied .*\. Let a role open it first that may make a schema/);
    query("GRANT USAGE ON SCHEMA bullmq TO worker");
    for (const what of ["TABLES", "SEQUENCES", "FUNCTIONS"])
      query(`GRANT ALL ON ALL ${what} IN SCHEMA bullmq TO worker`);
    const job = { sortie: version(), config: {}, artefacts: "a" };
    await owner.add("run-1", job);
    await owner.add("run-1", { ...job, artefacts: "b" });
    const other = await openQueue("worker", url);
    assert.is(await takeOne(other), "run-1");
    assert.equal(await owner.state("run-1"), { kind: "done", artefacts: "b" }, "as was said last");
    await other.close();

    query("CREATE SCHEMA skew");
    const slow = "SELECT pg_catalog.clock_timestamp() - interval '1 minute'";
    query(`CREATE FUNCTION skew.clock_timestamp() RETURNS timestamptz LANGUAGE sql AS $$${slow}$$`);
    const skewed = await openQueue("worker", `${server.url}?options=-c%20search_path%3Dskew,pg_catalog`);
    const late = await errorOf(() => takeOne(skewed));
    assert.match(
      late.message,
      /^worker: this machine's clock must be within 7\.5 s of the one at postgres:.*; got one that is (59|60|61) s ahead\. Set both by NTP\.$/,
    );
    await skewed.close();
  } finally {
    await owner.close();
    await server.stop();
  }
});

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
