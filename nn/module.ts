// Models as plain objects: a Module is a class whose fields are tensors (parameters, buffers), modules, or lists of
// modules. Names are the fields' paths, joined by dots; nothing is registered and no mode is stored.

import { what } from "../base/index.ts";
import {
  ArgumentError,
  type Generator,
  numel,
  readOptions,
  type Shape,
  ShapeError,
  sameShape,
  Tensor,
} from "../engine/functions.ts";
import type { Prepare } from "./pass.ts";

/** How a forward pass runs; passed explicitly, never stored in a module. */
export interface Mode {
  /** Batch statistics and dropout, instead of running statistics and none. */
  readonly training: boolean;
  /**
   * Inference: norms are folded into the weights in front of them, and every weight is put through this when a pass is
   * made.
   */
  readonly prepare?: Prepare;
}

export const TRAIN: Mode = { training: true };
export const EVAL: Mode = { training: false };

/** Checks that `mode` is one. @throws ArgumentError */
export function checkMode(op: string, mode: Mode): void {
  if (typeof mode?.training !== "boolean")
    throw new ArgumentError(`${op}: mode must be TRAIN or EVAL; got ${what(mode)}.`);
}

/** A tensor that the model has in another shape than what is loaded. */
export interface ShapeMismatch {
  readonly name: string;
  /** What came. */
  readonly given: Shape;
  /** What the model has. */
  readonly wanted: Shape;
}

/** What loading found; what is named here was left as it is. */
export interface LoadReport {
  /** Names that the model has and the source lacks. */
  readonly missing: readonly string[];
  /** Names that the source has and the model lacks. */
  readonly unexpected: readonly string[];
  readonly mismatched: readonly ShapeMismatch[];
}

/** Tensors by dotted name. */
export type NamedTensors = ReadonlyMap<string, Tensor>;

/** A tensor on the host, as `loadState` takes it. */
export interface StateTensor {
  readonly shape: Shape;
  readonly data: ArrayLike<number>;
}

/** Generators that were made for a network, and go with it. */
export const ownGenerators = new WeakSet<Generator>();

/** Base of all layers and networks. */
export abstract class Module {
  /** Parameters (leaves that need gradients) by dotted name, in the order of the fields. */
  namedParameters(): Map<string, Tensor> {
    return new Map([...this.#named("")].filter(([, tensor]) => tensor.isDifferentiable));
  }

  /** Tensors that training updates without gradients (running statistics), by dotted name. */
  namedBuffers(): Map<string, Tensor> {
    return new Map([...this.#named("")].filter(([, tensor]) => !tensor.isDifferentiable));
  }

  parameters(): Tensor[] {
    return [...this.namedParameters().values()];
  }

  buffers(): Tensor[] {
    return [...this.namedBuffers().values()];
  }

  /** All tensors by dotted name: what a checkpoint holds. */
  state(): Map<string, Tensor> {
    return new Map(this.#named(""));
  }

  /**
   * Axes of our layout in PyTorch's, of a tensor of the module by its dotted name; undefined where both are one. By the
   * rank, since only products have weights of two or four axes; a layer of other weights says otherwise.
   */
  axesInTorch(name: string): readonly number[] | undefined {
    const [field = "", ...rest] = name.split(".");
    const value = (this as unknown as Record<string, unknown>)[field];
    // A list of modules, or of lists.
    for (let at: unknown = value, i = 0; at !== undefined; at = (at as Record<string, unknown>)[rest[i++] ?? ""])
      if (at instanceof Module) return at.axesInTorch(rest.slice(i).join("."));
      else if (at instanceof Tensor) return productAxes(name, at.rank);
    return undefined;
  }

  /** Number of trainable numbers. */
  countParameters(): number {
    return this.parameters().reduce((n, { size }) => n + size, 0);
  }

  /**
   * Overwrites tensors by name with host data. With `strict` (the default) missing and unexpected names and other
   * shapes are an error, and nothing is written; otherwise they are reported, and what fits is written.
   */
  loadState(source: ReadonlyMap<string, StateTensor>, options: { readonly strict?: boolean } = {}): LoadReport {
    const { strict = true } = readOptions("loadState", options, { strict: "boolean" });
    if (!(source instanceof Map))
      throw new ArgumentError(`loadState: the source must be a Map of tensors by name; got ${what(source)}.`);
    for (const [name, given] of source) checkGiven(name, given);
    const own = this.state();
    const report = compareState(own, source);
    if (strict) refuseMisfits("loadState", report);
    const misfits = new Set(report.mismatched.map(({ name }) => name));
    for (const [name, { data }] of source) {
      if (!misfits.has(name)) own.get(name)?.write(data);
    }
    return report;
  }

  /** What random layers draw from: a captured step declares them, and a checkpoint holds where they stand. */
  generators(): Generator[] {
    return [...new Set(this.#inside.flatMap((module) => module.generators()))];
  }

  /** Chances of the random layers, in the order of the fields: what they decide of a training. */
  chances(): number[] {
    return this.#inside.flatMap((module) => module.chances());
  }

  get #inside(): Module[] {
    return Object.values(this).flatMap(modulesIn);
  }

  /** Frees all tensors of the module, and what its layers draw from, if that was made for them. */
  dispose(): void {
    for (const [, tensor] of this.#named("")) tensor.dispose();
    for (const generator of this.generators()) if (ownGenerators.has(generator)) generator.dispose();
  }

  [Symbol.dispose](): void {
    this.dispose();
  }

  *#named(prefix: string): Iterable<[string, Tensor]> {
    for (const [field, value] of Object.entries(this)) yield* named(value, `${prefix}${field}`);
  }
}

/**
 * Runs `fn` while the module's tensors of these names are others; they are back when it returns or throws. `fn` must be
 * synchronous. What it computes, it computes of the others: detached ones are constants, copies make another network of
 * the same form.
 * @throws ArgumentError for a name that the module does not have.
 */
export function withTensors<T>(module: Module, tensors: NamedTensors, fn: () => T): T {
  const undo: (() => void)[] = [];
  try {
    for (const [name, tensor] of tensors) undo.push(replaceTensor(module, name, tensor));
    return fn();
  } finally {
    for (const back of undo.reverse()) back();
  }
}

/** Puts a tensor in the place of the one of that name; what it returns puts that one back. */
function replaceTensor(module: Module, name: string, tensor: Tensor): () => void {
  const path = name.split(".");
  const field = path.pop() as string;
  const owner = path.reduce<unknown>((at, key) => (at as Record<string, unknown> | undefined)?.[key], module);
  const fields = owner as Record<string, unknown> | undefined;
  const before = fields?.[field];
  if (!fields || !(before instanceof Tensor))
    throw new ArgumentError(`withTensors: names must be the module's; got ${name}.`);
  fields[field] = tensor;
  return () => {
    fields[field] = before;
  };
}

/** Axes of a product's weight in PyTorch's layout: convolutions OIHW there, HWIO here; linear [out, in] there. */
export function productAxes(name: string, rank: number): readonly number[] | undefined {
  if (!/weight(_?[ih]h)?$/i.test(name)) return undefined;
  return rank === 4 ? [3, 2, 0, 1] : rank === 2 ? [1, 0] : undefined;
}

function modulesIn(value: unknown): Module[] {
  if (value instanceof Module) return [value];
  return Array.isArray(value) ? value.flatMap(modulesIn) : [];
}

function* named(value: unknown, path: string): Iterable<[string, Tensor]> {
  if (value instanceof Module) {
    for (const [name, tensor] of value.state()) yield [`${path}.${name}`, tensor];
  } else if (Array.isArray(value)) {
    for (const [i, item] of value.entries()) yield* named(item, `${path}.${i}`);
  } else if (value instanceof Tensor) {
    yield [path, value];
  }
}

/** Checks that a value of a state is a tensor on the host. @throws ArgumentError */
function checkGiven(name: string, given: StateTensor): void {
  const { shape, data } = (given ?? {}) as Partial<StateTensor>;
  if (Array.isArray(shape) && data?.length === numel(shape)) return;
  const hint = given instanceof Tensor ? " Read it first: { shape, data: await tensor.read() }." : "";
  const got = data ? `${data.length} numbers for ${what(shape)}` : what(given);
  throw new ArgumentError(`loadState: ${name} must be { shape, data } with a number an element; got ${got}.${hint}`);
}

/** How host tensors fit those of a model. */
export function compareState(own: NamedTensors, source: ReadonlyMap<string, { readonly shape: Shape }>): LoadReport {
  const mismatched: ShapeMismatch[] = [];
  for (const [name, { shape: wanted }] of own) {
    const given = source.get(name)?.shape;
    if (given && !sameShape(given, wanted)) mismatched.push({ name, given, wanted });
  }
  return {
    missing: [...own.keys()].filter((name) => !source.has(name)),
    unexpected: [...source.keys()].filter((name) => !own.has(name)),
    mismatched,
  };
}

/** Refuses what a report holds. @throws ArgumentError for names, ShapeError for shapes */
export function refuseMisfits(op: string, { missing, unexpected, mismatched }: LoadReport): void {
  const hint = "Pass { strict: false } to load what fits.";
  if (missing.length + unexpected.length > 0) {
    throw new ArgumentError(
      `${op}: names must agree; missing: [${missing.join(", ")}], unexpected: [${unexpected.join(", ")}]. ${hint}`,
    );
  }
  if (mismatched.length > 0) {
    const got = mismatched.map(
      ({ name, given, wanted }) => `${name} as [${given.join(", ")}] for [${wanted.join(", ")}]`,
    );
    throw new ShapeError(`${op}: shapes must agree; got ${got.join(", ")}. ${hint}`);
  }
}
