// Compiled pipelines by key: one per (kernel, spec), with an explicit layout so that bind groups can be made early.

import type { Kernel, NamedBinding, Spec } from "../kernels/index.ts";
import { bindingsOf, pipelineKey, shaderText } from "../kernels/index.ts";
import { DeviceError } from "./errors.ts";

/** A kernel's text made ready for one device. `pipeline` is compiled at the first use, or ahead by `compileAll`. */
export interface Program {
  readonly key: string;
  readonly kernel: Kernel;
  readonly spec: Spec;
  readonly bindings: readonly NamedBinding[];
  readonly uniformNames: readonly string[];
  readonly layout: GPUBindGroupLayout;
  readonly descriptor: Parameters<GPUDevice["createComputePipeline"]>[0];
  pipeline: GPUComputePipeline | undefined;
}

export class PipelineCache {
  readonly #device: GPUDevice;
  readonly #programs = new Map<string, Program>();
  readonly #layouts = new Map<string, { group: GPUBindGroupLayout; pipeline: GPUPipelineLayout }>();

  constructor(device: GPUDevice) {
    this.#device = device;
  }

  program(kernel: Kernel, spec: Spec): Program {
    const key = pipelineKey(kernel, spec);
    const known = this.#programs.get(key);
    if (known) {
      if (known.kernel !== kernel) {
        throw new DeviceError(`${kernel.name}: kernel names must be unique on a device; two kernels share this one.`);
      }
      return known;
    }
    return this.#add(key, key, kernel, spec);
  }

  /** That of a kernel with one text, from a file: known by the text, since others may have its name. */
  stored(kernel: Kernel): Program {
    const text = shaderText(kernel, {});
    return this.#programs.get(text) ?? this.#add(text, kernel.name, kernel, {});
  }

  #add(id: string, key: string, kernel: Kernel, spec: Spec): Program {
    const bindings = bindingsOf(kernel, spec);
    const uniformNames = Object.keys(kernel.uniforms);
    const limit = this.#device.limits.maxStorageBuffersPerShaderStage;
    if (bindings.length > limit) {
      throw new DeviceError(
        `${key}: at most ${limit} storage bindings are possible on this adapter; got ${bindings.length}.`,
      );
    }
    const layout = this.#layout(bindings, uniformNames.length * 4);
    const module = this.#device.createShaderModule({ label: key, code: shaderText(kernel, spec) });
    const program: Program = {
      key,
      kernel,
      spec,
      bindings,
      uniformNames,
      layout: layout.group,
      descriptor: { label: key, layout: layout.pipeline, compute: { module, entryPoint: "main" } },
      pipeline: undefined,
    };
    this.#programs.set(id, program);
    return program;
  }

  /** The compiled pipeline; compiles now if it must. */
  pipeline(program: Program): GPUComputePipeline {
    program.pipeline ??= this.#device.createComputePipeline(program.descriptor);
    return program.pipeline;
  }

  #layout(
    bindings: readonly NamedBinding[],
    uniformBytes: number,
  ): { group: GPUBindGroupLayout; pipeline: GPUPipelineLayout } {
    const key = `${uniformBytes}:${bindings.map(({ access }) => (access === "read" ? "r" : "w")).join("")}`;
    const known = this.#layouts.get(key);
    if (known) return known;
    const compute = 4; // GPUShaderStage.COMPUTE
    const entries: GPUBindGroupLayoutEntry[] = bindings.map(({ access }, i) => ({
      binding: i + 1,
      visibility: compute,
      buffer: { type: access === "read" ? "read-only-storage" : "storage" },
    }));
    if (uniformBytes > 0) {
      entries.unshift({ binding: 0, visibility: compute, buffer: { type: "uniform", hasDynamicOffset: true } });
    }
    const group = this.#device.createBindGroupLayout({ label: key, entries });
    const pipeline = this.#device.createPipelineLayout({ label: key, bindGroupLayouts: [group] });
    const layout = { group, pipeline };
    this.#layouts.set(key, layout);
    return layout;
  }
}
