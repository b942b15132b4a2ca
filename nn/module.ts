// Models as plain objects: a Module is a class whose fields are tensors (parameters, buffers), modules, or lists of modules.
// Names are the fields' paths, joined by dots; nothing is registered and no mode is stored.

import { ArgumentError, describe, ShapeError, sameShape, Tensor } from "../engine/functions.ts";

/** How a forward pass runs; passed explicitly, never stored in a module. */
export interface Mode {
  /** Batch statistics and dropout, instead of running statistics and none. */
  readonly training: boolean;
}

export const TRAIN: Mode = { training: true };
export const EVAL: Mode = { training: false };

/** What loading found: names the model has and the file lacks, and the reverse. */
export interface LoadReport {
  readonly missing: readonly string[];
  readonly unexpected: readonly string[];
}

/** Tensors by dotted name. */
export type NamedTensors = ReadonlyMap<string, Tensor>;

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

  /** Number of trainable numbers. */
  countParameters(): number {
    return this.parameters().reduce((n, { size }) => n + size, 0);
  }

  /**
   * Overwrites tensors by name with host data. Shapes must agree. With `strict` (the default) missing or unexpected names
   * are an error, and nothing is written; otherwise they are reported.
   */
  loadState(
    source: ReadonlyMap<string, { readonly shape: readonly number[]; readonly data: ArrayLike<number> }>,
    { strict = true } = {},
  ): LoadReport {
    const own = this.state();
    const missing = [...own.keys()].filter((name) => !source.has(name));
    const unexpected = [...source.keys()].filter((name) => !own.has(name));
    if (strict && missing.length + unexpected.length > 0) {
      throw new ArgumentError(
        `loadState: names must agree; missing: [${missing.join(", ")}], unexpected: [${unexpected.join(", ")}]. Pass { strict: false } to load what fits.`,
      );
    }
    for (const [name, tensor] of own) {
      const given = source.get(name);
      if (given && !sameShape(given.shape, tensor.shape)) {
        throw new ShapeError(
          `loadState: shapes must agree; got [${given.shape.join(", ")}] for ${name}, ${describe(tensor)}.`,
        );
      }
    }
    for (const [name, tensor] of own) {
      const given = source.get(name);
      if (given) tensor.write(given.data);
    }
    return { missing, unexpected };
  }

  /** Frees all tensors of the module. */
  dispose(): void {
    for (const [, tensor] of this.#named("")) tensor.dispose();
  }

  [Symbol.dispose](): void {
    this.dispose();
  }

  *#named(prefix: string): Iterable<[string, Tensor]> {
    for (const [field, value] of Object.entries(this)) yield* named(value, `${prefix}${field}`);
  }
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
