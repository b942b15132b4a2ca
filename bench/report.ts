// Turns results into JSON on disk, a markdown table beside it and lines on the console.

import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname } from "node:path";
import type { AdapterDescription } from "./gpu.ts";
import type { Result } from "./measure.ts";

/** One workload's figures by engine. */
export interface Row {
  readonly name: string;
  readonly flops: number;
  /** When it was measured, ISO 8601. All engines of a row took turns in one process. */
  readonly date: string;
  readonly results: Readonly<Record<string, Result>>;
}

/** What one engine needs for its first ResNet-20 step, in a process of its own, and what a step costs without a GPU. */
export interface Probe {
  readonly engine: string;
  /** The first step of the process; the driver may know the shaders from an earlier one. */
  readonly coldMs?: number;
  /** The same with the driver's shader cache empty. */
  readonly emptyCacheMs?: number;
  /** Largest sum of live buffers during that step, inputs and weights included. */
  readonly peakBytes?: number;
  readonly pipelines?: number;
  /** A warm step on Dawn's null backend: JavaScript and Dawn alone. */
  readonly overheadMs?: number;
  readonly dispatches?: number;
  readonly submits?: number;
  readonly error?: string;
}

/** All that a results file holds. */
export interface Report {
  readonly adapter: AdapterDescription;
  readonly machine: { readonly cpu: string; readonly cores: number; readonly node: string; readonly webgpu: string };
  readonly versions: Readonly<Record<string, string>>;
  readonly rows: readonly Row[];
  readonly probes: readonly Probe[];
}

/** The name of the project's own engine in results; every other one is a peer. */
export const SELF = "sortie";

const gflops = (row: Row, ms: number): string => (row.flops > 0 ? ` (${(row.flops / ms / 1e6).toFixed(1)})` : "");
const short = (ms: number): string => (ms < 10 ? ms.toFixed(2) : ms < 100 ? ms.toFixed(1) : ms.toFixed(0));

/** Wall time, or this process's share of the processors, which other processes do not disturb. */
type Clock = "ms" | "cpuMs";

/** The fastest peer of a row and its median. */
export function fastestPeer(
  row: Row,
  clock: Clock = "ms",
): { readonly engine: string; readonly ms: number } | undefined {
  return Object.entries(row.results)
    .flatMap(([engine, { [clock]: ms }]) => (engine === SELF || ms === undefined ? [] : [{ engine, ms }]))
    .toSorted((a, b) => a.ms - b.ms)[0];
}

/** How many times as fast as the fastest peer the project's engine is. */
function ratio(row: Row, clock: Clock = "ms"): string {
  const peer = fastestPeer(row, clock);
  const own = row.results[SELF]?.[clock];
  return peer && own !== undefined ? `${(peer.ms / own).toFixed(2)}x` : "";
}

/** Whether the GPU's work is done by this process's own threads. */
const isSoftware = ({ description, architecture }: AdapterDescription): boolean =>
  /software|llvmpipe|swiftshader|\bcpu\b/i.test(`${architecture} ${description}`);

function timeCell(row: Row, engine: string): string {
  const result = row.results[engine];
  if (!result) return "";
  return result.ms === undefined ? "failed" : short(result.ms) + gflops(row, result.ms);
}

function countCell(row: Row, engine: string): string {
  const result = row.results[engine];
  if (result?.dispatches === undefined)
    return result?.firstMs === undefined ? "" : `- / - / - / ${result.firstMs.toFixed(0)}`;
  return `${result.dispatches} / ${result.submits} / ${result.pipelines} / ${result.firstMs?.toFixed(0)}`;
}

function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]) => `| ${cells.join(" | ")} |`;
  return [line(head), line(head.map(() => "---")), ...rows.map(line)].join("\n");
}

/** The probes' table: one row an engine. */
function probeTable(probes: readonly Probe[]): string {
  const columns: readonly (readonly [head: string, cell: (probe: Probe) => number | undefined, digits: number])[] = [
    ["first step, ms", ({ coldMs }) => coldMs, 0],
    ["with an empty driver cache, ms", ({ emptyCacheMs }) => emptyCacheMs, 0],
    ["pipelines", ({ pipelines }) => pipelines, 0],
    ["peak MB", ({ peakBytes }) => (peakBytes === undefined ? undefined : peakBytes / 1e6), 0],
    ["overhead a step, ms", ({ overheadMs }) => overheadMs, 2],
    ["dispatches", ({ dispatches }) => dispatches, 0],
    ["submits", ({ submits }) => submits, 0],
  ];
  const rows = probes.map((probe) => [
    probe.error === undefined ? probe.engine : `${probe.engine}: ${probe.error}`,
    ...columns.map(([, cell, digits]) => cell(probe)?.toFixed(digits) ?? ""),
  ]);
  return table(["engine", ...columns.map(([head]) => head)], rows);
}

const PROBE_TITLE = "## ResNet-20 training step at batch 32, each engine in a fresh process";
const PROBE_NOTE =
  "First step: from the call to its loss, WebGPU device and data ready. Peak: live buffers, data and weights included. " +
  "Overhead: a warm step on Dawn's null backend, which does everything but the GPU's work. One submit is the read of the loss.";

/** The report as markdown. */
export function markdown({ adapter, machine, versions, rows, probes }: Report): string {
  const engines = [...new Set(rows.flatMap((row) => Object.keys(row.results)))].toSorted((a, b) =>
    a === SELF ? -1 : b === SELF ? 1 : a.localeCompare(b),
  );
  const times = rows.map((row) => [
    row.name,
    ...engines.map((engine) => timeCell(row, engine)),
    fastestPeer(row)?.engine ?? "",
    ratio(row),
    ...(isSoftware(adapter) ? [ratio(row, "cpuMs")] : []),
  ]);
  const timeHead = [
    "workload",
    ...engines,
    "fastest peer",
    "ratio",
    ...(isSoftware(adapter) ? ["by processor time"] : []),
  ];
  const failures = rows.flatMap((row) =>
    Object.entries(row.results).flatMap(([engine, { error }]) => (error ? [`- ${row.name}, ${engine}: ${error}`] : [])),
  );
  return [
    `# Benchmark on ${adapter.description || adapter.device}`,
    `${adapter.vendor} ${adapter.architecture}, subgroups of ${adapter.subgroupSizes.join("-")}; ${machine.cpu}, ${machine.cores} cores; ` +
      `Node ${machine.node}, npm webgpu ${machine.webgpu}. ${Object.entries(versions)
        .map((pair) => pair.join(" "))
        .join(", ")}.`,
    "Float32. Medians in ms (GFLOP/s); the engines of a row took turns in one process. The ratio is the fastest peer's time over ours.",
    table(timeHead, times),
    "## Dispatches / submits / pipelines created / first run in ms",
    table(
      ["workload", ...engines],
      rows.map((row) => [row.name, ...engines.map((engine) => countCell(row, engine))]),
    ),
    ...(probes.length > 0 ? [PROBE_TITLE, PROBE_NOTE, probeTable(probes)] : []),
    ...(failures.length > 0 ? ["## Failures", failures.join("\n")] : []),
    "",
  ].join("\n\n");
}

/** One line for the console: wall ms, [processor ms], GFLOP/s, dispatches and submits of each engine; the ratio. */
export function consoleLine(row: Row): string {
  const cells = Object.entries(row.results).map(([engine, { ms, cpuMs, dispatches, submits, error }]) => {
    if (ms === undefined || cpuMs === undefined) return `${engine} FAILED: ${error}`;
    const counts = dispatches === undefined ? "" : ` ${dispatches}d/${submits}s`;
    return `${engine} ${short(ms)} [${short(cpuMs)}] ms${gflops(row, ms)}${counts}`;
  });
  const ratios = ratio(row) === "" ? "" : `   ${ratio(row)} [${ratio(row, "cpuMs")}]`;
  return `${row.name.padEnd(20)} ${cells.join("   ")}${ratios}`;
}

/** Replaces entries of `old` that `fresh` has anew, by `key`; others keep their place, new ones go last. */
function merge<T>(old: readonly T[], fresh: readonly T[], key: (item: T) => string, order: (item: T) => number): T[] {
  const byKey = new Map([...old, ...fresh].map((item) => [key(item), item]));
  return [...byKey.values()].toSorted((a, b) => order(a) - order(b));
}

/**
 * Writes `report` to `file` and a markdown page beside it. Rows already in the file and not measured this time stay,
 * provided that adapter and machine are the same.
 */
export function save(file: string, report: Report, order: readonly string[]): Report {
  let merged = report;
  if (existsSync(file)) {
    const old = JSON.parse(readFileSync(file, "utf8")) as Report;
    const same = JSON.stringify([old.adapter, old.machine]) === JSON.stringify([report.adapter, report.machine]);
    if (same) {
      merged = {
        ...report,
        versions: { ...old.versions, ...report.versions },
        rows: merge(
          old.rows,
          report.rows,
          (row) => row.name,
          (row) => order.indexOf(row.name),
        ),
        probes: merge(
          old.probes,
          report.probes,
          (probe) => probe.engine,
          () => 0,
        ),
      };
    }
  }
  mkdirSync(dirname(file), { recursive: true });
  writeFileSync(file, `${JSON.stringify(merged, null, 2)}\n`);
  writeFileSync(file.replace(/(\.json)?$/, ".md"), markdown(merged));
  return merged;
}
