// Random programs of capture, run, dispose, forget, collect, flatten and churn, compared with the same work done
// eagerly on tensors that nobody touches, bit for bit; free memory is NaN throughout. Usage: node --import tsx
// test/torture/captures.ts [--steps N] [--seed S]

import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { createRandom, type Random } from "../../calibration/index.ts";
import * as s from "../../engine/index.ts";
import { collect, forgetting, poison } from "../collect.ts";
import { drawProgram, execute, type Program, touched, written } from "./capture-programs.ts";

/** Below, at and beyond one workgroup; the last is for live rows. */
const SHAPES: readonly s.Shape[] = [[3], [64], [5000], [40, 36]];
const ROWS = 3;

/** A tensor that captures use, and its twin, on which the same is done eagerly. */
interface Cell {
  readonly shape: s.Shape;
  readonly isLeaf: boolean;
  readonly twin: s.Tensor;
  /** Undefined once it is forgotten. */
  tensor: s.Tensor | undefined;
  isDisposed: boolean;
}

interface Captured {
  readonly label: string;
  readonly program: Program;
  readonly cells: readonly Cell[];
  readonly run: s.Capture<{ x: { shape: s.Shape; dtype: "f32" } }, Record<string, number>, s.Tensor>;
  /** Live rows: their number on the GPU. */
  readonly count: Cell | undefined;
}

/** What was done. */
export interface CaptureCounts {
  steps: number;
  captures: number;
  runs: number;
  /** Runs that were refused because a tensor had been disposed. */
  refusals: number;
  collections: number;
  flattens: number;
}

export const noCounts = (): CaptureCounts => ({
  steps: 0,
  captures: 0,
  runs: 0,
  refusals: 0,
  collections: 0,
  flattens: 0,
});

/** One sequence of steps. Throws at the first difference. */
export class World {
  readonly #device: s.Device;
  readonly #counts: CaptureCounts;
  readonly #cells: Cell[] = [];
  readonly #captures: Captured[] = [];
  readonly #flats: { readonly flat: s.Flat; readonly cells: readonly Cell[] }[] = [];
  /** Last values that captures computed, by shape: what a run may be fed with. */
  readonly #values = new Map<string, s.Tensor>();
  #labels = 0;

  constructor(device: s.Device, counts: CaptureCounts) {
    this.#device = device;
    this.#counts = counts;
  }

  /** One random step, the same for the same number. */
  async step(choice: number): Promise<void> {
    const random = createRandom(choice);
    this.#counts.steps += 1;
    const actions: readonly (readonly [weight: number, act: () => unknown])[] = [
      [1, () => s.keep(this.#make(random, random.below(SHAPES.length)).tensor)],
      [2, () => this.#capture(random, false)],
      [2, () => this.#capture(random, true)],
      [8, () => this.#run(random)],
      [1, () => this.#dispose(random)],
      [1, () => this.#forget(random)],
      [1, () => this.#collect()],
      [2, () => this.#flatten(random)],
      [2, () => this.#backward(random)],
      [2, () => this.#optimise(random)],
      [1, () => this.#drop(random)],
    ];
    const weighted = actions.flatMap(([weight, act]) => new Array<() => unknown>(weight).fill(act));
    await weighted[random.below(weighted.length)]?.();
    await poison(this.#device);
    await this.#compare();
  }

  /** Frees everything that is still referred to. */
  dispose(): void {
    for (const { run } of this.#captures.splice(0)) run.dispose();
    for (const { flat } of this.#flats.splice(0)) flat.dispose();
    for (const { tensor, twin } of this.#cells.splice(0)) for (const each of [tensor, twin]) each?.dispose();
    this.#values.clear();
  }

  #make(random: Random, which: number): Cell {
    const shape = SHAPES[which] as s.Shape;
    const isLeaf = which < ROWS && random.below(4) > 0;
    const data = draw(random, shape);
    const [tensor, twin] = [s.tensor(data, { shape }), s.keep(s.tensor(data, { shape }))];
    for (const each of isLeaf ? [tensor, twin] : []) each.requiresGrad();
    const cell = { shape, isLeaf, tensor, twin, isDisposed: false };
    this.#cells.push(cell);
    return cell;
  }

  /**
   * Records a step on cells of one shape, new and old; with `inScope` the new ones leave their scope meanwhile or right
   * after it.
   */
  async #capture(random: Random, inScope: boolean): Promise<void> {
    const which = random.below(SHAPES.length);
    const scope = inScope ? s.openScope() : undefined;
    const made = [this.#make(random, which)];
    const old = this.#cells.filter((cell) => cell.shape === SHAPES[which] && cell !== made[0] && isUsable(cell));
    const cells = [...made, ...old.slice(0, 2)];
    const numbers = cells.map((_, i) => i);
    const leaves = numbers.filter((i) => cells[i]?.isLeaf);
    const shape = SHAPES[which] as s.Shape;
    const program = drawProgram(random, shape, { cells: numbers, leaves, isPure: which === ROWS });
    const rows = which === ROWS ? s.tensor(Uint32Array.of(random.below(41))) : undefined;
    const count: Cell | undefined = rows && {
      shape: [1],
      isLeaf: false,
      tensor: rows,
      twin: s.keep(s.tensor((await rows.read()) as Uint32Array)),
      isDisposed: false,
    };
    if (count) this.#cells.push(count);
    const label = `step ${this.#labels++}`;
    const state = written(program).map((i) => (cells[i] as Cell).tensor as s.Tensor);
    const inputs = { x: { shape, dtype: "f32" as const } };
    const recording = s.capture({ label, inputs, state, ...(rows && { rows }), device: this.#device }, ({ x }) =>
      s.scope(() => execute(program, x, (i) => (cells[i] as Cell).tensor as s.Tensor)),
    );
    if (random.below(2) === 0) scope?.dispose();
    const run = await recording;
    scope?.dispose();
    if (inScope) for (const cell of count ? [...made, count] : made) cell.tensor = undefined;
    else for (const cell of count ? [...made, count] : made) s.keep(cell.tensor);
    this.#captures.push({ label, program, cells, run, count });
    this.#counts.captures += 1;
  }

  async #run(random: Random): Promise<void> {
    const captured = this.#captures[random.below(this.#captures.length)];
    if (!captured) return;
    const { program, cells, run, count, label } = captured;
    const { shape } = program;
    const data = draw(random, shape);
    const given = this.#values.get(shape.join());
    const fed = given && !given.isDisposed && random.below(3) === 0 ? given : undefined;
    const used = [...[...touched(program)].map((i) => cells[i] as Cell), ...(count ? [count] : [])];
    const gone = used.filter(({ isDisposed }) => isDisposed);
    if (gone.length > 0) {
      const message = refusalOf(() => run.run({ x: data }));
      const names = gone.map((cell) => (cell === count ? "u32[1]" : `f32[${shape.join(", ")}]`));
      if (message.startsWith(`DisposedError: capture "${label}": `) && names.some((name) => message.includes(name))) {
        this.#counts.refusals += 1;
        return;
      }
      throw new Error(`${label} uses a disposed tensor; it answered: ${message}`);
    }
    this.#counts.runs += 1;
    const x = s.keep(fed ? s.tensor((await fed.read()) as Float32Array, { shape }) : s.tensor(data, { shape }));
    const expected = s.scope(() => execute(program, x, (i) => (cells[i] as Cell).twin));
    const output = run.run({ x: fed ?? data });
    this.#values.set(shape.join(), output);
    const n = count ? ((await count.twin.read())[0] as number) * (shape[1] as number) : expected.size;
    await compare(label, [{ a: output, b: expected, n }]);
    for (const each of [x, expected]) each.dispose();
    if (count) this.#values.delete(shape.join());
  }

  #dispose(random: Random): void {
    const cell = this.#cells[random.below(this.#cells.length)];
    if (!cell?.tensor) return;
    cell.tensor.dispose();
    cell.isDisposed = true;
  }

  /** Only captures, and flat buffers, refer to it from here on. */
  #forget(random: Random): void {
    const cell = this.#cells[random.below(this.#cells.length)];
    if (cell) cell.tensor = undefined;
  }

  async #collect(): Promise<void> {
    this.#counts.collections += 1;
    await collect(undefined, 2);
  }

  #flatten(random: Random): void {
    const isFlat = (cell: Cell) => this.#flats.some(({ cells }) => cells.includes(cell));
    const cells = this.#cells.filter((cell) => cell.isLeaf && isUsable(cell) && !isFlat(cell) && random.below(2) === 0);
    if (cells.length === 0) return;
    const flat = s.flatten(cells.map(({ tensor }) => tensor as s.Tensor));
    s.keep([flat.values, flat.grads]);
    for (const { twin } of cells) twin.zeroGrad();
    this.#flats.push({ flat, cells });
    this.#counts.flattens += 1;
  }

  /** A gradient is left, or added to the one that is there. */
  #backward(random: Random): void {
    const leaves = this.#cells.filter((cell) => cell.isLeaf && isUsable(cell));
    const leaf = leaves[random.below(leaves.length)];
    if (!leaf) return;
    for (const each of [leaf.tensor as s.Tensor, leaf.twin]) s.scope(() => s.backward(s.sum(s.mul(each, 0.25))));
  }

  /** The step of an optimiser on a flat buffer. */
  #optimise(random: Random): void {
    const pick = this.#flats[random.below(this.#flats.length)];
    if (!pick) return;
    const { flat, cells } = pick;
    s.scope(() => {
      flat.settle();
      s.copyInto(flat.values, s.sub(flat.values, s.mul(flat.grads, 0.125)));
      for (const { twin } of cells)
        if (twin.hasGrad) s.noGrad(() => s.copyInto(twin, s.sub(twin, s.mul(twin.grad, 0.125))));
    });
    flat.zeroGrad();
    for (const { twin } of cells) twin.zeroGrad();
  }

  /** A capture goes, by its end or forgotten. */
  #drop(random: Random): void {
    if (random.below(2) > 0 || this.#captures.length === 0) return;
    const [captured] = this.#captures.splice(random.below(this.#captures.length), 1);
    this.#values.clear();
    if (random.below(2) === 0) captured?.run.dispose();
  }

  /** All tensors that there still are, and their gradients, against their twins. */
  async #compare(): Promise<void> {
    const pairs: Pair[] = [];
    for (const { tensor, twin, isDisposed } of this.#cells) {
      if (!tensor || isDisposed) continue;
      pairs.push({ a: tensor, b: twin, n: twin.size });
      if (twin.hasGrad) pairs.push({ a: tensor.grad, b: twin.grad, n: twin.size });
    }
    await compare("tensors", pairs);
  }
}

interface Pair {
  readonly a: s.Tensor;
  readonly b: s.Tensor;
  /** Elements that count. */
  readonly n: number;
}

async function compare(what: string, pairs: readonly Pair[]): Promise<void> {
  const data = await s.read(pairs.flatMap(({ a, b }) => [a, b]));
  for (const [k, { n }] of pairs.entries()) {
    const [a, b] = [data[2 * k] as Float32Array, data[2 * k + 1] as Float32Array];
    for (let i = 0; i < n; i++) {
      if (!Object.is(a[i], b[i]))
        throw new Error(`${what}: element ${i} of pair ${k} is ${a[i]}; eagerly it is ${b[i]}`);
    }
  }
}

const isUsable = ({ tensor, isDisposed }: Cell): boolean => tensor !== undefined && !isDisposed;

const draw = (random: Random, shape: s.Shape): Float32Array<ArrayBuffer> =>
  Float32Array.from({ length: shape.reduce((n, extent) => n * extent, 1) }, () => 2 * random.uniform() - 1);

function refusalOf(fn: () => unknown): string {
  try {
    fn();
  } catch (error) {
    return String(error);
  }
  return "no error";
}

const WORLD_STEPS = 80;

/**
 * Steps in worlds of 80; after each all memory must be free again. Throws at the first fault, with the seed of its
 * world.
 */
export async function tortureCaptures({
  device,
  steps,
  seed,
  log = () => {},
}: {
  readonly device: s.Device;
  readonly steps: number;
  readonly seed: number;
  readonly log?: (line: string) => void;
}): Promise<CaptureCounts> {
  const counts = noCounts();
  const random = createRandom(seed);
  while (counts.steps < steps) {
    const choices = Array.from({ length: Math.min(WORLD_STEPS, steps - counts.steps) }, () => random.below(2 ** 31));
    await forgetting(device, () => liveThrough(device, counts, choices));
    log(`${counts.steps} steps: ${JSON.stringify(counts)}`);
  }
  return counts;
}

async function liveThrough(device: s.Device, counts: CaptureCounts, choices: readonly number[]): Promise<void> {
  const world = new World(device, counts);
  for (const [i, choice] of choices.entries()) {
    try {
      await world.step(choice);
    } catch (cause) {
      throw new Error(`at the last of the choices ${choices.slice(0, i + 1).join(", ")}: ${String(cause)}`, { cause });
    }
  }
  world.dispose();
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const { values } = parseArgs({ options: { steps: { type: "string" }, seed: { type: "string" } } });
  using device = await s.createDevice();
  const options = { steps: Number(values.steps ?? 10_000), seed: Number(values.seed ?? 1) };
  const start = performance.now();
  const counts = await tortureCaptures({ device, ...options, log: console.log });
  console.log(
    `captures: ${JSON.stringify(counts)}, seed ${options.seed}, ${Math.round((performance.now() - start) / 1000)} s`,
  );
}
