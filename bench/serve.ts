// The server of examples/serve under load, on the loopback:
// `node scripts/run.mjs bench/serve.ts [MODEL] [--runtime R]`. MODEL is a model file; without one, glyphs are trained
// first. autocannon sends a fixed number of requests over more and more connections, so that every one must come back;
// then the queue is made short, and at last the server is told to end while it is asked. Writes results/serve.md. Let
// the machine do nothing else meanwhile.

import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { availableParallelism, tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { createDevice } from "../engine/index.ts";
import { adapterName, readModel } from "../exits/index.ts";
import { readFlags } from "./flags.ts";

const { values: flags, positionals } = readFlags(import.meta.url, {
  allowPositionals: true,
  options: {
    runtime: { type: "string", default: "webgpu" },
    requests: { type: "string", default: "2000" },
    connections: { type: "string", default: "1,8,32,128,512" },
    "deadline-ms": { type: "string", default: "5" },
    out: { type: "string", default: fileURLToPath(new URL("results/serve.md", import.meta.url)) },
  },
});
const root = fileURLToPath(new URL("..", import.meta.url));
const work = mkdtempSync(join(tmpdir(), "sortie-serve-"));
/** By its address: children run in folders that have no modules. */
const LOADER = import.meta.resolve("tsx");
const requests = Number(flags.requests);
/** Servers that were started. */
const servers: ChildProcess[] = [];

/** What of autocannon's report is used. */
interface Report {
  readonly latency: Readonly<Record<"p50" | "p99" | "max", number>>;
  readonly requests: { readonly average: number };
  readonly duration: number;
  readonly errors: number;
  readonly timeouts: number;
  readonly "2xx": number;
  readonly statusCodeStats: Readonly<Record<string, { readonly count: number }>>;
}

/** One load, and what came of it. */
interface Row {
  readonly what: string;
  readonly connections: number;
  readonly images: number;
  readonly report: Report;
}

/** A model of glyphs, trained for a minute, calibrated and exported. */
function trained(): string {
  const sortie = (...args: string[]): void => {
    const { status } = spawnSync(process.execPath, ["--import", LOADER, join(root, "cli/bin.ts"), ...args], {
      cwd: work,
      stdio: ["ignore", "ignore", "inherit"],
    });
    if (status !== 0 && status !== 2) throw new Error(`bench/serve: sortie ${args[0]} must come to its end.`);
  };
  sortie("train", "--epochs", "4", "--out", work, "--name", "run");
  sortie("calibrate", join(work, "run"), "--alpha", "0.1");
  const file = join(work, "model.sortie.safetensors");
  sortie("export", join(work, "run"), file);
  return file;
}

/** A server, and its address once it listens. */
async function start(model: string, queue: number): Promise<{ child: ChildProcess; at: string; said: () => string }> {
  const own = [
    "--port",
    "0",
    "--runtime",
    flags.runtime,
    "--deadline-ms",
    flags["deadline-ms"],
    "--queue",
    String(queue),
  ];
  const args = ["--import", LOADER, join(root, "examples/serve/main.ts"), model, ...own];
  const child = spawn(process.execPath, args, { cwd: root, stdio: ["ignore", "pipe", "inherit"] });
  servers.push(child);
  let text = "";
  child.stdout?.setEncoding("utf8").on("data", (part: string) => {
    text += part;
  });
  while (!/listening on \S+\n/.test(text)) {
    if (child.exitCode !== null) throw new Error("bench/serve: the server must listen; it ended.");
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  return { child, at: /listening on (\S+)/.exec(text)?.[1] ?? "", said: () => text };
}

async function load(at: string, body: string, most: number, amount: number): Promise<Report> {
  const connections = Math.min(most, amount);
  const args = ["-j", "-m", "POST", "-c", String(connections), "-a", String(amount), "-t", "60"];
  const input = ["-H", "content-type=application/octet-stream", "-i", body, `${at}/classify`];
  const child = spawn(process.execPath, [join(root, "node_modules/autocannon/autocannon.js"), ...args, ...input], {
    stdio: ["ignore", "pipe", "ignore"],
  });
  let text = "";
  child.stdout.setEncoding("utf8").on("data", (part: string) => {
    text += part;
  });
  const [code] = (await once(child, "close")) as [number];
  if (code !== 0 || text === "")
    throw new Error(`bench/serve: autocannon must come to its end; got exit code ${code}.`);
  return JSON.parse(text) as Report;
}

/** A file with a body of so many images; of bytes below 128, since autocannon reads it as text. */
function bodyOf(pixels: number, images: number): string {
  const path = join(work, `body-${images}`);
  writeFileSync(
    path,
    Uint8Array.from({ length: images * pixels }, (_, i) => Math.imul(i, 0x9e3779b1) >>> 25),
  );
  return path;
}

/** Ends a server while it is asked over many connections: what it says it answered, and what the askers got. */
async function ended(
  model: string,
  body: Uint8Array<ArrayBuffer>,
): Promise<{ server: number; clients: number; refused: number }> {
  const { child, at, said } = await start(model, 1024);
  let clients = 0;
  let refused = 0;
  const ask = async (): Promise<void> => {
    for (;;) {
      const status = await fetch(`${at}/classify`, {
        method: "POST",
        body,
        headers: { "content-type": "application/octet-stream" },
      }).then(
        async (response) => {
          await response.arrayBuffer();
          return response.status;
        },
        () => 0,
      );
      if (status === 200) clients += 1;
      else refused += 1;
      if (status === 0) return;
    }
  };
  const asking = Array.from({ length: 64 }, ask);
  await new Promise((resolve) => setTimeout(resolve, 3000));
  child.kill("SIGTERM");
  await Promise.all([once(child, "close"), ...asking]);
  return { server: Number(/answered: (\d+) requests/.exec(said())?.[1]), clients, refused };
}

const count = ({ statusCodeStats }: Report, status: string): number => statusCodeStats[status]?.count ?? 0;

function tableOf(rows: readonly Row[]): readonly string[] {
  return [
    "| load | connections | images a request | p50 ms | p99 ms | longest ms | images/s | answered | 503 | lost |",
    "|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|",
    ...rows.map(({ what, connections, images, report }) => {
      const [ok, busy] = [report["2xx"], count(report, "503")];
      const all = Object.values(report.statusCodeStats).reduce((sum, each) => sum + each.count, 0);
      const { p50, p99, max } = report.latency;
      const cells = [p50, p99, max, Math.round((ok * images) / report.duration), ok, busy, requests - all];
      return `| ${[what, connections, images, ...cells].join(" | ")} |`;
    }),
  ];
}

try {
  const model = positionals[0] ?? trained();
  const { record } = await readModel(model);
  const pixels = record.architecture.input.reduce((n, extent) => n * extent, 1);
  const rows: Row[] = [];
  const measure = async (what: string, at: string, connections: number, images: number): Promise<void> => {
    const report = await load(at, bodyOf(pixels, images), connections, requests);
    rows.push({ what, connections, images, report });
    console.log(tableOf(rows).at(-1));
  };
  const roomy = await start(model, 4096);
  await load(roomy.at, bodyOf(pixels, 1), 64, 1000); // routes are found, shaders compiled
  for (const connections of flags.connections.split(",").map(Number))
    await measure("room for all", roomy.at, connections, 1);
  await measure("room for all", roomy.at, 32, 16);
  const { runtimes } = (await (await fetch(roomy.at)).json()) as {
    readonly runtimes: readonly { readonly reason: string }[];
  };
  roomy.child.kill("SIGTERM");
  await once(roomy.child, "close");
  const short = await start(model, 32);
  await measure("queue of 32", short.at, 512, 1);
  short.child.kill("SIGTERM");
  await once(short.child, "close");
  const end = await ended(model, new Uint8Array(pixels));
  using device = await createDevice();
  const { backbone, input } = record.architecture;
  const lines = [
    "# Serving",
    "",
    "`node scripts/run.mjs bench/serve.ts`: `examples/serve` over one classifier, loaded by autocannon on the same machine,",
    `${availableParallelism()} cores. ${backbone} for images of ${input.join(" x ")}, batches of up to 64, deadline ${flags["deadline-ms"]} ms, ${requests} requests a row;`,
    `runtime ${flags.runtime}, adapter ${adapterName(device.info)}. Lost: requests without any answer.`,
    "",
    ...tableOf(rows),
    "",
    `What ran: ${runtimes.map(({ reason }) => reason).join("; ")}.`,
    "",
    `Told to end (SIGTERM) while 64 connections asked: the server says that it answered ${end.server} requests, and the askers got ${end.clients} answers;`,
    `${end.refused} more were refused. Lost: ${end.server - end.clients}.`,
    "",
  ];
  writeFileSync(flags.out, lines.join("\n"));
  console.log(lines.join("\n"));
  const isFaulty = ({ report }: Row): boolean =>
    report.errors > 0 || report.timeouts > 0 || report["2xx"] + count(report, "503") !== requests;
  const faults = rows.some(isFaulty) || end.server !== end.clients;
  if (faults) process.exitCode = 1;
} finally {
  for (const server of servers) server.kill("SIGKILL");
  rmSync(work, { recursive: true, force: true });
}
