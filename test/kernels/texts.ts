// The texts that kernels have on three kinds of adapters: those that the op table asks for, and a few that no op does.
// As a script it prints them: rows of the table make tensors on the default device, so the paper device has to be the
// only one of its process.

import { readdirSync } from "node:fs";
import { basename } from "node:path";
import { fileURLToPath } from "node:url";
import {
  backward,
  capture,
  createDevice,
  type Device,
  Generator,
  scope,
  type Tensor,
  tensor,
  zeros,
} from "../../engine/index.ts";
import type { Kernel } from "../../kernels/index.ts";
import { opRows } from "../engine/op-table.ts";
import { drawn, list, mulberry } from "../engine/ops/check.ts";
import type { OpCase } from "../engine/ops/row.ts";
import { type PaperAdapter, paperDevice } from "./paper.ts";

const ADAPTERS: Readonly<Record<string, PaperAdapter>> = {
  gpu: { description: "a graphics card", features: ["subgroups", "shader-f16"], subgroupSize: 32 },
  cpu: { description: "cpu", features: ["subgroups", "shader-f16"], subgroupSize: 8 },
  plain: { description: "cpu", features: ["shader-f16"], subgroupSize: 0 },
};

/** A text, and the adapters that get it. */
export interface KernelText {
  readonly key: string;
  readonly code: string;
  readonly adapters: string[];
}

/** The first text of every kernel and variant, in the order of their keys. */
async function kernelTexts(): Promise<KernelText[]> {
  const kernels = await declaredKernels();
  const found = new Map<string, KernelText>();
  for (const [name, adapter] of Object.entries(ADAPTERS)) {
    const texts = new Map<string, string>();
    const device = await createDevice({ device: paperDevice(adapter, texts) });
    await ask(device);
    device.dispose();
    const seen = new Set<string>();
    for (const [key, code] of texts) {
      if (code.includes("@binding(9)") && !/^exit(Answer|Decide)/.test(key))
        throw new Error(`${key} binds more than the eight buffers that every adapter has room for`);
      const kind = kindOf(key, kernels);
      if (seen.has(kind)) continue;
      seen.add(kind);
      const known = found.get(key);
      if (known) known.adapters.push(name);
      else found.set(key, { key, code, adapters: [name] });
    }
  }
  return [...found.values()].sort((a, b) => (a.key < b.key ? -1 : 1));
}

/**
 * What makes a text worth keeping: the kernel and its variant. Of pointwise ops the structure alone, since what they
 * compute stands in their one line of the table: how many axes are walked, and how wide.
 */
function kindOf(key: string, kernels: ReadonlyMap<string, string>): string {
  const name = nameOf(key);
  if (kernels.has(name)) return `${name} ${/(variant|team)=\w+/.exec(key)?.[0] ?? ""}`;
  return [/\.broadcast\d+(?=\()/, /width=\d+/, /inner=(?=s,)/].map((part) => part.exec(key)?.[0] ?? "").join(" ");
}

/** The kernel's name of a pipeline's key. */
export const nameOf = (key: string): string => key.split("(")[0] ?? "";

async function ask(device: Device): Promise<void> {
  for (const { cases } of await opRows()) for (const one of cases) run(device, one);
  // What no op asks for: the grids of live rows, and the step of a generator.
  using rows = tensor(Uint32Array.of(1), { device });
  using step = await capture({ inputs: { x: { shape: [4, 2], dtype: "f32" } }, rows }, ({ x }) => x.exp());
  step.run({ x: new Float32Array(8) });
  const generator = new Generator({ seed: 1, device });
  generator.advance();
  generator.dispose();
  await device.sync();
}

function run(device: Device, { inputs, call, grads = [] }: OpCase): void {
  const random = mulberry(1);
  scope(() => {
    const given = Object.entries(inputs).map(([name, draw]) => {
      const made = tensor(drawn(draw, random).data, { shape: draw.shape, dtype: draw.dtype ?? "f32", device });
      return [name, grads.includes(name) ? made.requiresGrad() : made] as const;
    });
    const [y] = list(call(Object.fromEntries(given))) as Tensor[];
    if (y && grads.length > 0) backward(y, { gradient: zeros(y.shape, { device }) });
  });
}

/** Every kernel that kernels/ and exits/ declare: name -> family, which is its file. */
export async function declaredKernels(): Promise<Map<string, string>> {
  const kernels = new Map<string, string>();
  for (const name of ["kernels", "exits"]) {
    const folder = new URL(`../../${name}/`, import.meta.url);
    const files = readdirSync(folder, { recursive: true, encoding: "utf8" });
    for (const file of files.filter((path) => /(?<!\bindex)\.ts$/.test(path)).sort())
      for (const value of Object.values((await import(new URL(file, folder).href)) as object))
        if (isKernel(value) && !kernels.has(value.name)) kernels.set(value.name, basename(file, ".ts"));
  }
  return kernels;
}

const isKernel = (value: unknown): value is Kernel =>
  typeof value === "object" && value !== null && "source" in value && "grid" in value && "bindings" in value;

if (process.argv[1] === fileURLToPath(import.meta.url)) console.log(JSON.stringify(await kernelTexts()));
