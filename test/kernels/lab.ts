// Runs kernels on a bare WebGPU device, without the engine: for tests that compare a kernel's text with a formula.
// Outputs start as NaN bits, and pipelines are made inside an error scope, so a shader that fails cannot seem to work.

import type { ByName, Dims, Exactly, Kernel, Spec } from "../../kernels/kernel.ts";
import { bindingsOf, pipelineKey, shaderText } from "../../kernels/kernel.ts";
import { atEnd } from "../harness.ts";

/** Host memory of one binding; a `number` asks for that many poisoned 32-bit words. */
export type Contents = Float32Array | Uint32Array | Int32Array | Uint16Array | number;

interface Lab {
  readonly gpu: GPU;
  readonly device: GPUDevice;
  readonly pipelines: Map<string, GPUComputePipeline>;
}

let lab: Promise<Lab> | undefined;

async function open(): Promise<Lab> {
  const { create, globals } = await import("webgpu");
  Object.assign(globalThis, globals);
  const gpu = create([]);
  const adapter = await gpu.requestAdapter();
  if (!adapter) throw new Error("no WebGPU adapter; install a Vulkan driver (mesa-vulkan-drivers has a software one)");
  const wanted: GPUFeatureName[] = ["subgroups", "shader-f16"];
  const requiredFeatures = wanted.filter((feature) => adapter.features.has(feature));
  const device = await adapter.requestDevice({ requiredFeatures });
  atEnd(() => {
    device.destroy();
    lab = undefined;
  });
  return { gpu, device, pipelines: new Map() };
}

/** Whether kernels with f16 storage can run here. */
export async function hasF16(): Promise<boolean> {
  lab ??= open();
  return (await lab).device.features.has("shader-f16");
}

async function pipelineOf(kernel: Kernel, spec: Spec): Promise<GPUComputePipeline> {
  lab ??= open();
  const { device, pipelines } = await lab;
  const key = pipelineKey(kernel, spec);
  const known = pipelines.get(key);
  if (known) return known;
  const code = shaderText(kernel, spec);
  device.pushErrorScope("validation");
  const module = device.createShaderModule({ label: key, code });
  const pipeline = device.createComputePipeline({ label: key, layout: "auto", compute: { module } });
  const error = await device.popErrorScope();
  if (error) throw new Error(`${key}: ${error.message}\n${code}`);
  pipelines.set(key, pipeline);
  return pipeline;
}

const POISON = 0xffffffff;

/** Runs one dispatch and returns the words of every binding afterwards, by name. */
export async function runKernel<S extends Spec, U extends string, N extends string, G extends ByName<N, Contents>>(
  kernel: Kernel<S, U, N>,
  spec: NoInfer<S>,
  dims: Dims<NoInfer<U>>,
  contents: Exactly<G, N>,
): Promise<Record<string, Words>> {
  return runByName(kernel, spec, dims, contents);
}

/** The same where the names of a table's buffers are known at run time only. */
export async function runByName(
  kernel: Kernel,
  spec: Spec,
  dims: Dims,
  contents: Readonly<Record<string, Contents | undefined>>,
): Promise<Record<string, Words>> {
  const pipeline = await pipelineOf(kernel, spec);
  const { device } = await (lab as Promise<Lab>);
  const buffers = bindingsOf(kernel, spec).map(({ name, access }) => {
    const given = contents[name];
    if (given === undefined) throw new Error(`${kernel.name}: no contents for ${name}`);
    const words = typeof given === "number" ? new Uint32Array(given).fill(POISON) : given;
    const size = Math.max(16, Math.ceil(words.byteLength / 4) * 4);
    const usage = GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_SRC | GPUBufferUsage.COPY_DST;
    const buffer = device.createBuffer({ label: name, size, usage, mappedAtCreation: true });
    const Type = words.constructor as Uint32ArrayConstructor;
    new Type(buffer.getMappedRange()).set(words as Uint32Array);
    buffer.unmap();
    return { name, access, buffer, size, length: words.byteLength };
  });
  const uniforms = uniformBuffer(device, kernel, dims);
  const entries = buffers.map(({ buffer }, i): GPUBindGroupEntry => ({ binding: i + 1, resource: { buffer } }));
  if (uniforms) entries.push({ binding: 0, resource: { buffer: uniforms } });
  device.pushErrorScope("validation");
  const encoder = device.createCommandEncoder();
  const grid = kernel.grid(dims, spec);
  if (grid.every((count) => count > 0)) {
    const pass = encoder.beginComputePass();
    pass.setPipeline(pipeline);
    pass.setBindGroup(0, device.createBindGroup({ layout: pipeline.getBindGroupLayout(0), entries }));
    pass.dispatchWorkgroups(...grid);
    pass.end();
  }
  const results = buffers.map(({ name, buffer, size, length }) => {
    const staging = device.createBuffer({ size, usage: GPUBufferUsage.MAP_READ | GPUBufferUsage.COPY_DST });
    encoder.copyBufferToBuffer(buffer, 0, staging, 0, size);
    return { name, staging, length };
  });
  device.queue.submit([encoder.finish()]);
  const error = await device.popErrorScope();
  if (error) throw new Error(`${kernel.name}: ${error.message}`);
  const out: Record<string, Words> = {};
  for (const { name, staging, length } of results) {
    await staging.mapAsync(GPUMapMode.READ);
    out[name] = new Words(staging.getMappedRange().slice(0, Math.ceil(length / 4) * 4));
    staging.destroy();
  }
  for (const { buffer } of buffers) buffer.destroy();
  uniforms?.destroy();
  return out;
}

/** Bytes read back from the GPU, seen as whichever type the test needs. */
export class Words {
  readonly bytes: ArrayBuffer;

  constructor(bytes: ArrayBuffer) {
    this.bytes = bytes;
  }

  get f32(): Float32Array {
    return new Float32Array(this.bytes);
  }

  get u32(): Uint32Array {
    return new Uint32Array(this.bytes);
  }

  get i32(): Int32Array {
    return new Int32Array(this.bytes);
  }

  get u16(): Uint16Array {
    return new Uint16Array(this.bytes);
  }
}

function uniformBuffer(device: GPUDevice, kernel: Kernel, dims: Dims): GPUBuffer | undefined {
  const names = Object.keys(kernel.uniforms);
  if (names.length === 0) return undefined;
  const view = new DataView(new ArrayBuffer(Math.ceil(names.length / 4) * 16));
  names.forEach((name, i) => {
    if (kernel.uniforms[name] === "f32") view.setFloat32(4 * i, dims[name] as number, true);
    else view.setInt32(4 * i, dims[name] as number, true);
  });
  const buffer = device.createBuffer({
    size: view.byteLength,
    usage: GPUBufferUsage.UNIFORM | GPUBufferUsage.COPY_DST,
  });
  device.queue.writeBuffer(buffer, 0, view.buffer);
  return buffer;
}

/** Asserts `|got - want| <= atol + rtol |want|` everywhere; NaN matches NaN, an infinity only itself. */
export function close(
  got: ArrayLike<number>,
  want: ArrayLike<number>,
  { rtol = 1e-5, atol = 1e-6, title = "value" } = {},
): void {
  if (got.length < want.length) throw new Error(`${title}: ${got.length} elements, expected ${want.length}`);
  for (let i = 0; i < want.length; i++) {
    const a = got[i] as number;
    const b = want[i] as number;
    if (Object.is(a, b) || a === b || (Number.isNaN(a) && Number.isNaN(b))) continue;
    if (!(Math.abs(a - b) <= atol + rtol * Math.abs(b)) || !Number.isFinite(b)) {
      throw new Error(`${title}: element ${i} is ${a}, expected ${b}`);
    }
  }
}

/** `n` reproducible numbers, uniform in [-1, 1), rounded to float32 (a 32-bit linear congruential generator). */
export function sample(n: number, seed = 1): Float32Array {
  let state = Math.imul(seed, 0x9e3779b1) >>> 0;
  return Float32Array.from({ length: n }, () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 31 - 1;
  });
}
