// What a kernel is: WGSL text and launch geometry as plain data.
// Owns the shape of that data and how a module's declarations are written. Knows no tensor, buffer or device.

/** How a kernel touches a storage binding. `update` reads and writes in place. */
export type Access = "read" | "write" | "update";

/** One storage binding: the WGSL variable `name` of the WGSL type `type`, e.g. `array<vec4f>`. */
export interface Binding {
  readonly name: string;
  readonly access: Access;
  readonly type: string;
}

export type UniformType = "u32" | "i32" | "f32";

/** Storage element types; kernels accumulate in f32 whatever they store. */
export type StorageType = "f32" | "f16" | "i32" | "u32";

/** Optional WebGPU features that a kernel's text needs (`enable ...;`). */
export type KernelFeature = "subgroups" | "f16";

/** Workgroup counts of one dispatch. */
export type Grid = readonly [x: number, y: number, z: number];

/** What makes one text differ from another: structure, dtypes, tile sizes. Part of the pipeline key. */
export type Spec = Readonly<Record<string, string | number | boolean>>;

/** Sizes and scalars of one call; exactly the kernel's uniforms, so one text serves every size. */
export type Dims<U extends string = string> = Readonly<Record<U, number>>;

/**
 * How a launch depends on the number of rows (leading extent of the batch): grid axis `axis` is
 * `ceil(units / perGroup)`, where `units` is proportional to the rows. With `fold`, the count is laid out by `linearGrid`, over
 * x and y. Other axes do not depend on the rows.
 */
export interface RowAxis {
  readonly axis: 0 | 1 | 2;
  readonly units: number;
  readonly perGroup: number;
  readonly fold?: boolean;
  /**
   * Leading blocks that the launch keeps apart: block i of what it writes needs block i of what it reads, and no more. The launch
   * can follow rows that make up whole blocks.
   */
  readonly blocks: number;
  /** The same of bindings that differ: 1 where every row may touch all of it (weights, tables, places to scatter to). */
  readonly apart?: Readonly<Record<string, number>>;
}

/**
 * A kernel: a family of WGSL texts (one per spec) and the geometry to launch them.
 * Inside `source`, uniforms are read as `u.<name>` and bindings by their own names; the entry point is `main`.
 */
export interface Kernel<S extends Spec = Spec, U extends string = string> {
  readonly name: string;
  readonly bindings: (spec: S) => readonly Binding[];
  readonly uniforms: Readonly<Record<U, UniformType>>;
  readonly features?: (spec: S) => readonly KernelFeature[];
  readonly source: (spec: S) => string;
  readonly grid: (dims: Dims<U>, spec: S) => Grid;
  /**
   * Absent: the kernel mixes rows (or has none), so it cannot run on a live row count. `rows` is what the call says of it where dims do
   * not tell: the leading blocks that it keeps apart, 0 for none.
   */
  readonly rows?: (dims: Dims<U>, spec: S, rows: number) => RowAxis | undefined;
}

/** Checks a kernel's types and returns it unchanged. */
export function defineKernel<S extends Spec, U extends string>(kernel: Kernel<S, U>): Kernel<S, U> {
  return kernel;
}

/** `n` lines made by `line(0) ... line(n - 1)`: unrolling, in text. */
export function unroll(n: number, line: (i: number) => string): string {
  return Array.from({ length: n }, (_, i) => line(i)).join("\n");
}

/** A spec as text, keys sorted. */
export const specText = (spec: Spec): string =>
  Object.keys(spec)
    .sort()
    .map((key) => `${key}=${spec[key]}`)
    .join(",");

/** Name of a pipeline: equal keys have equal texts. */
export function pipelineKey(kernel: Kernel, spec: Spec): string {
  const text = specText(spec);
  return text ? `${kernel.name}(${text})` : kernel.name;
}

/** The whole WGSL module: features, uniform struct, bindings, then the kernel's own text. */
export function shaderText<S extends Spec, U extends string>(kernel: Kernel<S, U>, spec: S): string {
  const names = Object.keys(kernel.uniforms) as U[];
  const features = (kernel.features?.(spec) ?? []).map((feature) => `enable ${feature};\n`).join("");
  const struct =
    names.length > 0
      ? `struct Uniforms {\n${names.map((name) => `  ${name}: ${kernel.uniforms[name]},\n`).join("")}}\n@group(0) @binding(0) var<uniform> u: Uniforms;\n`
      : "";
  const bindings = kernel
    .bindings(spec)
    .map(
      ({ name, access, type }, i) =>
        `@group(0) @binding(${i + 1}) var<storage, ${access === "read" ? "read" : "read_write"}> ${name}: ${type};\n`,
    )
    .join("");
  return features + struct + bindings + kernel.source(spec);
}

/** WebGPU's guaranteed limit of workgroups along one grid axis. */
export const MAX_GROUPS = 65535;

/** Lays `groups` workgroups along x and, past the limit, y. In the kernel: `LINEAR_GROUP`; guard against the overshoot. */
export function linearGrid(groups: number): Grid {
  const y = Math.max(1, Math.ceil(groups / MAX_GROUPS));
  return [Math.ceil(groups / y), y, 1];
}

/**
 * The grid of a launch on the first `count` of `capacity` rows: what the kernel `liveGrids` computes on the GPU. For all rows it
 * must be the launch's own grid.
 */
export function liveGrid(grid: Grid, { axis, units, perGroup, fold }: RowAxis, count = 1, capacity = 1): Grid {
  // Rows of a fraction of a unit are rounded up: the last group is then reached early, never late.
  const groups = Math.min(ceilDiv(count * ceilDiv(units, capacity), perGroup), ceilDiv(units, perGroup));
  const [x, y] = linearGrid(groups);
  return fold ? [x, y, grid[2]] : (grid.map((count, i) => (i === axis ? groups : count)) as unknown as Grid);
}

/** WGSL expression for the index of a workgroup in a `linearGrid` launch; needs the parameters `ENTRY` declares. */
export const LINEAR_GROUP = "(wid.x + wid.y * nwg.x)";

/** Entry point parameters most kernels need: workgroup id `wid`, workgroup counts `nwg`, local index `li`. */
export const ENTRY =
  "@builtin(workgroup_id) wid: vec3u, @builtin(num_workgroups) nwg: vec3u, @builtin(local_invocation_index) li: u32";

/** `ceil(a / b)` for counts. */
export const ceilDiv = (a: number, b: number): number => Math.ceil(a / b);
