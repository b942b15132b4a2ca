// Time per kernel: every dispatch in a pass of its own, timed by timestamp queries where the adapter has them.

import type { DeviceInfo } from "./adapter.ts";
import { USAGE } from "./buffers.ts";
import { DeviceError } from "./errors.ts";
import { type Watched, watching } from "./watching.ts";
import type { Encoded, PassTimer } from "./work.ts";

/** One kernel's share of a profile. */
export interface ProfileRow {
  readonly kernel: string;
  readonly dispatches: number;
  /** GPU milliseconds; NaN where the adapter has no timestamp queries. */
  readonly ms: number;
  /** Bytes of all buffers bound, an upper bound of the traffic. */
  readonly bytes: number;
}

/** What `device.profile` measured. */
export class Profile {
  readonly rows: readonly ProfileRow[];
  /** Milliseconds on the host's clock, from the call to the end of the GPU work. */
  readonly wallMs: number;

  constructor(rows: readonly ProfileRow[], wallMs: number) {
    this.rows = rows;
    this.wallMs = wallMs;
  }

  get dispatches(): number {
    return this.rows.reduce((sum, row) => sum + row.dispatches, 0);
  }

  get ms(): number {
    return this.rows.reduce((sum, row) => sum + row.ms, 0);
  }

  /** The rows as text, slowest kernel first. */
  table(): string {
    const width = Math.max(6, ...this.rows.map((row) => row.kernel.length));
    const line = (kernel: string, n: string, ms: string, share: string, mb: string) =>
      `${kernel.padEnd(width)} ${n.padStart(6)} ${ms.padStart(10)} ${share.padStart(7)} ${mb.padStart(10)}`;
    const total = this.ms;
    const body = this.rows.map((row) =>
      line(
        row.kernel,
        `${row.dispatches}`,
        row.ms.toFixed(3),
        `${((100 * row.ms) / total).toFixed(1)} %`,
        (row.bytes / 1e6).toFixed(2),
      ),
    );
    const sum = line("total", `${this.dispatches}`, total.toFixed(3), `of ${this.wallMs.toFixed(1)} ms wall`, "");
    return [line("kernel", "calls", "ms", "share", "MB"), ...body, sum.trimEnd()].join("\n");
  }
}

const MAX_QUERIES = 4096;

/** What is profiled: a Device. */
interface Profiled extends Watched {
  readonly gpu: GPUDevice;
  readonly info: Pick<DeviceInfo, "hasTimestamps">;
  sync(): Promise<void>;
}

/** Runs `fn` (which may be async) and attributes GPU time to kernels. @throws DeviceError inside another. */
export async function profile(device: Profiled, fn: () => unknown, living: ReadonlySet<Watched>): Promise<Profile> {
  await device.sync();
  const timer = new Timer(device);
  const start = performance.now();
  const { stream } = device;
  if (stream.timer) throw new DeviceError("profile: one must end before the next begins; got a second one.");
  stream.timer = timer;
  try {
    await watching("profile", fn, { device, living });
    await device.sync();
  } finally {
    stream.timer = undefined;
  }
  const wallMs = performance.now() - start;
  return new Profile(await timer.rows(), wallMs);
}

/** Hands out timestamp slots of one query set, which the encoders use one after the other: some systems have few. */
class Timer implements PassTimer {
  readonly #device: Profiled;
  readonly #log: { kernel: string; bytes: number }[] = [];
  readonly #resolved: { buffer: GPUBuffer; first: number; count: number }[] = [];
  #set: GPUQuerySet | undefined;
  #first = 0;

  constructor(device: Profiled) {
    this.#device = device;
  }

  pass(encoded: Encoded): GPUComputePassDescriptor {
    this.#log.push({ kernel: encoded.program.key, bytes: encoded.bytes });
    const index = 2 * (this.#log.length - 1 - this.#first);
    if (!this.#device.info.hasTimestamps || index + 2 > MAX_QUERIES) return {};
    this.#set ??= this.#device.gpu.createQuerySet({ type: "timestamp", count: MAX_QUERIES });
    return {
      timestampWrites: { querySet: this.#set, beginningOfPassWriteIndex: index, endOfPassWriteIndex: index + 1 },
    };
  }

  finish(encoder: GPUCommandEncoder): void {
    const first = this.#first;
    const count = Math.min(this.#log.length - first, MAX_QUERIES / 2);
    this.#first = this.#log.length;
    if (!this.#set || count === 0) return;
    const usage = USAGE.queryResolve | USAGE.copySrc | USAGE.storage;
    const buffer = this.#device.gpu.createBuffer({ size: Math.ceil(count / 16) * 256, usage });
    encoder.resolveQuerySet(this.#set, 0, 2 * count, buffer, 0);
    this.#resolved.push({ buffer, first, count });
  }

  async rows(): Promise<ProfileRow[]> {
    const ms = new Array<number>(this.#log.length).fill(Number.NaN);
    for (const { buffer, first, count } of this.#resolved) {
      const times = new BigInt64Array(await readBuffer(this.#device.gpu, buffer, 16 * count));
      for (let i = 0; i < count; i++) {
        ms[first + i] = Number(times[2 * i + 1]! - times[2 * i]!) / 1e6;
      }
      buffer.destroy();
    }
    this.#set?.destroy();
    this.#set = undefined;
    const rows = new Map<string, { kernel: string; dispatches: number; ms: number; bytes: number }>();
    this.#log.forEach(({ kernel, bytes }, i) => {
      const row = rows.get(kernel) ?? { kernel, dispatches: 0, ms: 0, bytes: 0 };
      row.dispatches += 1;
      row.ms += ms[i]!;
      row.bytes += bytes;
      rows.set(kernel, row);
    });
    return [...rows.values()].sort((a, b) => b.ms - a.ms);
  }
}

async function readBuffer(gpu: GPUDevice, buffer: GPUBuffer, bytes: number): Promise<ArrayBuffer> {
  const staging = gpu.createBuffer({ size: bytes, usage: USAGE.mapRead | USAGE.copyDst });
  const encoder = gpu.createCommandEncoder();
  encoder.copyBufferToBuffer(buffer, 0, staging, 0, bytes);
  gpu.queue.submit([encoder.finish()]);
  await staging.mapAsync(1);
  const copy = staging.getMappedRange().slice(0);
  staging.destroy();
  return copy;
}
