// What runs inside the browser: a part of the op table and deployed networks, on the page's own adapter. Bundled with
// the rows by test/browser.test.ts.

import {
  createDevice,
  type Device,
  matmul,
  ones,
  readSafetensors,
  scope,
  type Tensor,
  type TuningTable,
} from "../../engine/index.ts";
import { checkCase } from "../engine/ops/check.ts";
import { isHalf, type OpCase, type OpRow } from "../engine/ops/row.ts";
import { agree } from "../exits/agreement.ts";

/** What the test calls in the page. */
export interface Page {
  /** Makes the device; says what it runs on. */
  open(): Promise<string>;
  readonly ops: readonly string[];
  /** Checks the cases of an op that are chosen for the browser; their number. */
  check(op: string): Promise<number>;
  /** Deploys networks and compares them with themselves (test/exits/agreement.ts); the number of subjects. */
  agree(): Promise<number>;
  /** Reads a safetensors file from the server: its values by name, and the bytes that progress reports counted. */
  fetch(url: string): Promise<{ values: Record<string, number[]>; loaded: number }>;
  /** Tunes a product on a device that stores its choices; them, and those that the next device starts with. */
  tune(): Promise<{ stored: TuningTable; loaded: TuningTable }>;
  /** GPU errors, and buffers that are left in use. */
  close(): Promise<number>;
}

/** Elements a case may have in all its inputs: software adapters in browsers are slow. */
const MOST_ELEMENTS = 2000;
/** Cases of an op. */
const MOST_CASES = 3;

/** Who is deployed in the browser, and with which score: a network of each family. */
const DEPLOYED = [
  ["resnet, gap-linear and gap-norm-linear, trained", "margin"],
  ["vit, class-token", "maxProb"],
] as const;

const elements = ({ inputs }: OpCase): number =>
  Object.values(inputs).reduce((sum, { shape }) => sum + shape.reduce((n, extent) => n * extent, 1), 0);

/**
 * The largest of the small cases, where tiles have edges and vectors have tails; the smallest if all are large. Halves
 * are not there.
 */
function choose(cases: readonly OpCase[]): OpCase[] {
  const sorted = cases.filter((one) => !isHalf(one)).sort((a, b) => elements(b) - elements(a));
  const small = sorted.filter((one) => elements(one) <= MOST_ELEMENTS);
  return small.length > 0 ? small.slice(0, MOST_CASES) : sorted.slice(-1);
}

/** Runs `fn`. @throws Error if it leaves buffers in use: what is forgotten would go some time, or not. */
async function leavingNothing<T>(device: Device, what: string, fn: () => Promise<T>): Promise<T> {
  await device.sync();
  const before = device.memory().buffers;
  const result = await fn();
  await device.sync();
  const left = device.memory().buffers - before;
  if (left > 0) throw new Error(`${what}: leaves ${left} more buffers in use`);
  return result;
}

/** Puts a `Page` for these rows on `globalThis.page`. */
export function expose(rows: readonly OpRow[]): void {
  let device: Device | undefined;
  const page: Page = {
    async open() {
      device = await createDevice();
      const { vendor, architecture, description, subgroupSize } = device.info;
      return `${vendor} ${architecture} ${description} (subgroups of ${subgroupSize})`;
    },
    ops: rows.map(({ op }) => op),
    async check(op) {
      const chosen = choose(rows.filter((row) => row.op === op).flatMap(({ cases }) => cases));
      await leavingNothing(device!, op, async () => {
        for (const [i, one] of chosen.entries()) await checkCase(device!, op, one, 2000 + i);
      });
      return chosen.length;
    },
    async agree() {
      for (const [name, score] of DEPLOYED) await leavingNothing(device!, name, () => agree(name, [score], device));
      return DEPLOYED.length;
    },
    async fetch(url) {
      let loaded = 0;
      const onProgress = (progress: { loaded: number }): void => {
        loaded = progress.loaded;
      };
      const { tensors } = await readSafetensors(globalThis.fetch(url), { onProgress });
      const values = [...tensors].map(([name, { data }]) => [name, Array.from(data, Number)]);
      return { values: Object.fromEntries(values), loaded };
    },
    async tune() {
      using first = await createDevice({ tuning: "cached" });
      const side = (): Tensor => ones([64, 64], { device: first });
      await first.tuner.tune(() => scope(() => matmul(side(), side())), { repeats: 1 });
      using next = await createDevice({ tuning: "cached" });
      return { stored: first.tuner.table, loaded: next.tuner.table };
    },
    async close() {
      await device!.sync();
      const { buffers } = device!.memory();
      device!.dispose();
      return buffers;
    },
  };
  Object.assign(globalThis, { page });
}
