// What of a queue needs no server of one: ids, archives, addresses, refusals, and results in S3.

import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { dirname, join, relative } from "node:path";
import { fileURLToPath } from "node:url";
import { zipSync } from "fflate";
import { keepCheckpoints, leaveWhole } from "../../cli/commands/worker.ts";
import { readKnown } from "../../cli/compare/known.ts";
import { waitFor } from "../../cli/compare/remote.ts";
import { RunFolder, runId } from "../../cli/files/run-folder.ts";
import { openArtefacts, packRun, unpackRun } from "../../cli/queue/artefacts.ts";
import { openQueue } from "../../cli/queue/bullmq.ts";
import { queueAddress } from "../../cli/queue/queue.ts";
import type { Config } from "../../cli/settings/config.ts";
import { withAbsolutePaths } from "../../cli/settings/contents.ts";
import { lockFolder } from "../../exits/index.ts";
import { assert, errorOf, failsWith, suite } from "../harness.ts";
import { run as sortie } from "./command-line.ts";
import { readConfig } from "./read-config.ts";
import { freePort, startS3 } from "./servers.ts";
import { writeRun } from "./synthetic-run.ts";

const shared = mkdtempSync(join(tmpdir(), "sortie-artefacts-"));
const outer = { ...process.env };
const configOf = (...flags: string[]) => readConfig("test", flags).config;

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
test.after(() => rmSync(shared, { recursive: true }));

test("a run is named by what decides its results, not by where it lies", () => {
  const id = runId(configOf());
  for (const flags of [
    ["--out", "elsewhere"],
    ["--name", "mine"],
    ["--train.checkpointEvery", "3"],
  ])
    assert.is(runId(configOf(...flags)), id, flags.join(" "));
  for (const flags of [
    ["--seed", "2"],
    ["--epochs", "9"],
    ["--alpha", "0.5"],
    ["--method", "joint"],
  ])
    assert.not.equal(runId(configOf(...flags)), id, flags.join(" "));
  assert.is(
    runId(readConfig("test", ["--data", "fashion-mnist", "--data-dir", "a"]).config),
    runId(readConfig("test", ["--data", "fashion-mnist", "--data-dir", "b"]).config),
  );
});

test("a run on files of one's own is named by what they are, not by where they lie", () => {
  const dir = mkdtempSync(join(tmpdir(), "sortie-own-"));
  const at = (name: string, text: string) => {
    mkdirSync(dirname(join(dir, name)), { recursive: true });
    writeFileSync(join(dir, name), text);
  };
  for (const set of ["cats", "moved", "dogs"])
    for (const file of ["big/1.png", "small/2.JPG"]) at(`${set}/${file}`, set === "dogs" ? "woof woof" : "meow");
  at("moved/big/notes.txt", "no picture");
  at("moved/.hidden/3.png", "no picture either");
  const ofFolder = (set: string, ...more: string[]) => configOf("--data", "folder", "--dir", join(dir, set), ...more);
  assert.is(runId(ofFolder("moved")), runId(ofFolder("cats")));
  assert.not.equal(runId(ofFolder("dogs")), runId(ofFolder("cats")));
  assert.not.equal(runId(ofFolder("nowhere")), runId(ofFolder("nowhere else")));

  // Arrays of one shape are as long as each other.
  for (const [file, text] of Object.entries({ a: "12", b: "12", c: "21" })) at(`${file}.npz`, text);
  const ofFile = (file: string) => configOf("--data", "npz", "--file", join(dir, `${file}.npz`));
  assert.is(runId(ofFile("a")), runId(ofFile("b")));
  assert.not.equal(runId(ofFile("a")), runId(ofFile("c")));

  // Weights to start from are files too, of one's own or the last of a run.
  at("one/last.safetensors", "weights");
  at("two/last.safetensors", "others");
  const from = (run: string) => runId(configOf("--from", join(dir, run)));
  assert.is(from("one"), runId(configOf("--weights", relative(".", join(dir, "one", "last.safetensors")))));
  assert.not.equal(from("one"), from("two"));
  const near = relative(".", join(dir, "one"));
  const sent = withAbsolutePaths(configOf("--from", near));
  assert.equal([configOf("--from", near).train.from, sent.train.from], [near, join(dir, "one")]);

  const folder = new RunFolder(join(dir, "run"));
  folder.claim(ofFolder("cats"));
  folder.check(ofFolder("moved"));
  assert.throws(() => folder.check(ofFolder("dogs")), /holds a run with data\.content "/);
  // Of a run from before there were digests, the files tell as they are now.
  const { content, ...data } = folder.config().data;
  writeFileSync(folder.path("config"), JSON.stringify({ ...folder.config(), data }));
  folder.check(ofFolder("cats"));
  assert.throws(() => folder.check(ofFolder("dogs")), /holds a run with data\.content "/);
  // What was finished is still that run where its pictures are gone.
  folder.claim(ofFolder("cats"));
  rmSync(join(dir, "cats"), { recursive: true });
  folder.check(ofFolder("cats"));
  assert.throws(
    () => ofFolder("dogs", "--data.content", String(content)),
    /^test: --data\.content must be the digest of .*dogs, [0-9a-f]{64}; got "[0-9a-f]{64}"\. These are other files/,
  );
  rmSync(dir, { recursive: true });
});

test("known runs on official files keep their ids", () => {
  const path = fileURLToPath(new URL("../../bench/results/compare-fashion-mnist.json", import.meta.url));
  const { runs } = JSON.parse(readFileSync(path, "utf8")) as { readonly runs: readonly { settings: Config }[] };
  const known = [...readKnown(path).values()];
  assert.equal(
    known.map(({ settings }) => settings["data"]),
    runs.map(({ settings }) => settings.data),
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
  const artefacts = await openArtefacts("compare", shared);
  const states = [
    () => Promise.reject(new Error("gone")),
    async () => ({ kind: "active", said: "host: step 1" }) as const,
    async () => ({ kind: "done", artefacts: artefacts.place }) as const,
  ];
  const lines: string[] = [];
  const run = { name: "mine", id: "run-1", config: configOf(), data: "d", backbone: "b", method: "m", seed: 1 };
  const wait = { artefacts, print: (line: string) => lines.push(line), patience: 0 };
  const failed = await waitFor([run], { ...wait, queue: { state: () => states.shift()!() } });
  assert.equal(lines, ["mine  the queue is away: gone", "mine  at work, host: step 1", "mine  done"]);
  assert.match(failed.get("mine") ?? "", /run-1\.zip must be in .*Give the worker the same --artefacts/);
  const asked = await waitFor([run], {
    ...wait,
    queue: { state: async () => ({ kind: "done", artefacts: "s3://other" }) },
  });
  assert.match(asked.get("mine")!, /put into the queue by a comparison with --artefacts s3:\/\/other: give the same/);
});

test("results that are away are waited for, and one that cannot be had, or has no reason, ends no wait", async () => {
  const dir = mkdtempSync(join(tmpdir(), "sortie-fetched-"));
  const packed = packRun(writeRun(join(dir, "made")));
  const waits = ["away", "damaged", "silent", "locked", "late"].map((name, seed) => ({
    ...{ name, id: name, config: configOf("--out", join(dir, "here"), "--name", name) },
    ...{ data: "d", backbone: "b", method: "m", seed },
  }));
  const lock = await lockFolder("test", join(dir, "here", "locked"));
  let late = 0;
  let attempts = 0;
  const get = async (name: string) => {
    if (name === "damaged.zip") return packed.subarray(0, packed.length / 2);
    if (name === "away.zip" && attempts++ === 0) throw new Error("503");
    if (name === "late.zip" && late++ === 0) return undefined;
    return packed;
  };
  const lines: string[] = [];
  const failed = await waitFor(waits, {
    queue: {
      state: async (id) =>
        id === "silent" ? { kind: "failed", reason: "" } : { kind: "done", artefacts: "s3://runs" },
    },
    artefacts: { place: "s3://runs", get, put: async () => {}, remove: async () => {} },
    print: (line) => {
      lines.push(line);
      if (line.startsWith("locked")) void lock.release();
    },
  });
  assert.equal(lines[0], "away  the result is away: 503");
  const locked = lines.find((line) => line.startsWith("locked"))!;
  assert.match(locked, /^locked {2}the result is away: another process is at .*here.locked$/);
  assert.ok(lines.includes("late  the result is away: its worker is done, and it is not there yet"));
  for (const name of ["away", "locked", "late"]) {
    assert.ok(lines.includes(`${name}  done`));
    assert.ok(existsSync(join(dir, "here", name, "run.json")));
  }
  assert.equal([...failed.keys()], ["damaged", "silent"]);
  assert.match(
    failed.get("damaged")!,
    /^damaged\.zip in s3:\/\/runs: .*here.damaged: an archive must be a zip file; got /,
  );
  assert.is(failed.get("silent"), "Its worker gave no reason.");
  rmSync(dir, { recursive: true });
});

test("a worker leaves its run where results are away for a while", async () => {
  const dir = mkdtempSync(join(tmpdir(), "sortie-left-"));
  const lines: string[] = [];
  const stored: string[] = [];
  const away = () => Promise.reject(new Error("503"));
  const print = (line: string) => void lines.push(line);
  const artefacts = { place: "s3://runs", get: away, put: away, remove: away };

  const folder = new RunFolder(writeRun(join(dir, "run")));
  const run = { id: "run-1", lost: new AbortController().signal, say: async () => {} };
  const keeper = keepCheckpoints(run, { folder, artefacts, print });
  writeFileSync(join(folder.dir, "last.safetensors"), "weights");
  await keeper.end();
  await keeper.keep();
  assert.equal(lines, ["run-1: 503"], "handed back all the same");

  let attempts = 0;
  const put = async (name: string) => {
    if (attempts++ < 2) throw new Error("busy.");
    stored.push(name);
  };
  const leaving = { artefacts: { ...artefacts, put }, print, again: 1 };
  assert.is(await leaveWhole("run-2", folder.dir, { ...leaving, isStopped: () => false }), true);
  assert.equal([stored, lines.slice(1)], [["run-2.zip"], ["run-2: busy. It is tried again.", "run-2: 503"]]);
  attempts = 0;
  assert.is(await leaveWhole("run-3", folder.dir, { ...leaving, isStopped: () => attempts > 1 }), false);
  rmSync(dir, { recursive: true });
});

test("addresses are told without what must not be seen", async () => {
  assert.is(queueAddress("x", "postgres://me:hush@db/runs?sslmode=require").place, "postgres://db:5432/runs");
  assert.is(queueAddress("x", "valkeys://:hush@db:7000").url, "rediss://:hush@db:7000");
  await failsWith(
    () => queueAddress("x", "postgres://me:sec%ZZ@db/runs"),
    "SortieError",
    "x: the queue must be an address like postgres://HOST:5432/DATABASE or redis://HOST:6379; got a user or password with a bare % in it. Write %25 for it.",
  );
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
