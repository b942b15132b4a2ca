// What a kernel is: WGSL text and launch geometry as plain data.
// Owns the shape of that data and how a module's declarations are written. Knows no tensor, buffer or device.

/** How a kernel touches a storage binding. `update` reads and writes in place. */
export type Access = "read" | "write" | "update";

/** One storage binding: a variable of the WGSL type `type`, e.g. `array<vec4f>`. */
export interface Binding {
  readonly access: Access;
  readonly type: string;
}

/** A binding with the name of its variable. */
export interface NamedBinding extends Binding {
  readonly name: string;
}

/** Storage bindings by the names of their WGSL variables; one that is undefined is left out of the text at hand. */
export type Bindings = Readonly<Record<string, Binding | undefined>>;

/** The names of bindings, with a `?` where a text may do without: `"x" | "bias?" | "y"`. */
export type NamesOf<B extends Bindings> = keyof {
  readonly [K in keyof B & string as undefined extends B[K] ? `${K}?` : K]: K;
};

/** A `T` by each of the names; one that has a `?` may be missing. */
export type ByName<N extends string, T> = string extends N
  ? Readonly<Record<string, T | undefined>>
  : { readonly [K in N as K extends `${string}?` ? never : K]: T } & {
      readonly [K in N as K extends `${infer Name}?` ? Name : never]?: T | undefined;
    };

/** `G` itself, where it has no names but those of `N`. */
export type Exactly<G, N extends string> = G & { readonly [K in Exclude<keyof G, keyof ByName<N, unknown>>]: never };

export const reads = (type: string): Binding => ({ access: "read", type });
export const writes = (type: string): Binding => ({ access: "write", type });
export const updates = (type: string): Binding => ({ access: "update", type });

export type UniformType = "u32" | "i32" | "f32";

/** Floating-point element types in memory. */
export type FloatStorage = "f32" | "f16";

/** Storage element types; kernels accumulate in f32 whatever they store. */
export type StorageType = FloatStorage | "i32" | "u32";

/** Optional WebGPU features of WGSL. */
export type KernelFeature = "f16" | "subgroups";

/** Workgroup counts of one dispatch. */
export type Grid = readonly [x: number, y: number, z: number];

/** What makes one text differ from another: structure, dtypes, tile sizes. Part of the pipeline key. */
export type Spec = Readonly<Record<string, string | number | boolean>>;

/** Sizes and scalars of one call; exactly the kernel's uniforms, so one text serves every size. */
export type Dims<U extends string = string> = Readonly<Record<U, number>>;

/**
 * How a launch depends on the number of rows (leading extent of the batch): grid axis `axis` is
 * `ceil(units / perGroup)`, where `units` is proportional to the rows. With `fold`, the count is laid out by
 * `linearGrid`, over x and y. Other axes do not depend on the rows.
 */
export interface RowAxis {
  readonly axis: 0 | 1 | 2;
  readonly units: number;
  readonly perGroup: number;
  readonly fold?: boolean;
  /**
   * Leading blocks that the launch keeps apart: block i of what it writes needs block i of what it reads, and no more.
   * The launch can follow rows that make up whole blocks.
   */
  readonly blocks: number;
  /**
   * The same of bindings that differ: 1 where every row may touch all of it (weights, tables, places to scatter to).
   */
  readonly apart?: Readonly<Record<string, number>>;
}

/** All of a kernel but its bindings. */
export interface Launchable<S extends Spec, U extends string> {
  readonly name: string;
  readonly uniforms: Readonly<Record<U, UniformType>>;
  source(spec: NoInfer<S>): string;
  grid(dims: Dims<NoInfer<U>>, spec: NoInfer<S>): Grid;
  /**
   * Absent: the kernel mixes rows (or has none), so it cannot run on a live row count. `rows` is what the call says of
   * it where dims do not tell: the leading blocks that it keeps apart, 0 for none.
   */
  rows?(dims: Dims<NoInfer<U>>, spec: NoInfer<S>, rows: number): RowAxis | undefined;
}

/**
 * A kernel: a family of WGSL texts (one per spec) and the geometry to launch them. `U` are its uniforms, `N` its
 * bindings. Inside `source`, uniforms are read as `u.<name>` and bindings by their own names; the entry point is
 * `main`.
 */
export interface Kernel<S extends Spec = Spec, U extends string = string, N extends string = string>
  extends Launchable<S, U> {
  bindings(spec: S): ByName<N, Binding>;
}

/** Checks a kernel's types and returns it unchanged. The spec's type is said where `bindings` takes it. */
export function defineKernel<U extends string, B extends Bindings, S extends Spec = Record<string, never>>(
  kernel: Launchable<S, U> & { bindings(spec: S): B },
): Kernel<S, U, NamesOf<B>> {
  return kernel as Kernel<S, U, NamesOf<B>>;
}

/** A kernel's bindings under a spec, in their order. */
export const bindingsOf = (kernel: Kernel, spec: Spec): NamedBinding[] =>
  Object.entries(kernel.bindings(spec)).flatMap(([name, binding]) => (binding ? [{ name, ...binding }] : []));

/** `n` lines made by `line(0) ... line(n - 1)`: unrolling, in text. */
export function unroll(n: number, line: (i: number) => string): string {
  return Array.from({ length: n }, (_, i) => line(i)).join("\n");
}

/** Uniforms of one type, by name. */
export const uniformsOf = <N extends string, T extends UniformType>(type: T, names: readonly N[]) =>
  Object.fromEntries(names.map((name) => [name, type])) as Readonly<Record<N, T>>;

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

/**
 * The whole WGSL module: the features that its words show, uniform struct, bindings, then the kernel's own text.
 */
export function shaderText(kernel: Kernel, spec: Spec): string {
  const names = Object.keys(kernel.uniforms);
  const struct =
    names.length > 0
      ? `struct Uniforms {\n${names.map((name) => `  ${name}: ${kernel.uniforms[name]},\n`).join("")}}\n@group(0) @binding(0) var<uniform> u: Uniforms;\n`
      : "";
  const bindings = bindingsOf(kernel, spec)
    .map(
      ({ name, access, type }, i) =>
        `@group(0) @binding(${i + 1}) var<storage, ${access === "read" ? "read" : "read_write"}> ${name}: ${type};\n`,
    )
    .join("");
  const text = struct + bindings + kernel.source(spec);
  const enable = (feature: KernelFeature, sign: RegExp): string => (sign.test(text) ? `enable ${feature};\n` : "");
  return enable("f16", /\b(f16|vec\dh)\b/) + enable("subgroups", /subgroup/) + text;
}

/** What a text of `shaderText` enables. */
export const featuresOf = (text: string): KernelFeature[] =>
  Array.from(text.matchAll(/^enable (\w+);/gm), ([, feature]) => feature as KernelFeature);

/** WebGPU's guaranteed limit of workgroups along one grid axis. */
export const MAX_GROUPS = 65535;

/**
 * Lays `groups` workgroups along x and, past the limit, y. In the kernel: `LINEAR_GROUP`; guard against the overshoot.
 */
export function linearGrid(groups: number): Grid {
  const y = Math.max(1, Math.ceil(groups / MAX_GROUPS));
  return [Math.ceil(groups / y), y, 1];
}

/** WGSL expression for the index of a workgroup in a `linearGrid` launch; needs what `entry` declares. */
export const LINEAR_GROUP = "(wid.x + wid.y * nwg.x)";

/** Threads of a workgroup, where nothing speaks for another number. */
export const GROUP = 64;

/**
 * How an entry point begins, its body in braces behind it: with workgroup id `wid`, workgroup counts `nwg`, the
 * thread's number `li` in its workgroup, and further parameters, `more`, each behind a comma.
 */
export const entry = (threads: number = GROUP, more = ""): string =>
  `@compute @workgroup_size(${threads}) fn main(@builtin(workgroup_id) wid: vec3u, @builtin(num_workgroups) nwg: vec3u, @builtin(local_invocation_index) li: u32${more})`;

/** `ceil(a / b)` for counts. */
export const ceilDiv = (a: number, b: number): number => Math.ceil(a / b);
