// PyTorch state dicts in and out: torchvision's and timm's names and layouts against ours.
// Names: runningMean is running_mean, and so on. Layouts: convolutions OIHW there, HWIO here; linear [out, in] there.

import { type Kinds, permuted, take, what } from "../base/index.ts";
import { ArgumentError, FormatError, readOptions, type Shape, type StoredTensor } from "../engine/functions.ts";
import { compareState, type LoadReport, Module, productAxes, refuseMisfits, type StateTensor } from "./module.ts";
import { type Renames, TORCHVISION } from "./renames.ts";
import { timmRenames } from "./timm.ts";

const SAME: Renames = { fromFile: (name) => name, toFile: (name) => name };

const camel = (name: string): string => name.replace(/_([a-z])/g, (_, letter: string) => letter.toUpperCase());
const snake = (name: string): string => name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);

/** Transposes host data by `order` (output axis i is input axis order[i]). */
const permuteHost = ({ shape, data }: StateTensor, order: readonly number[]): StateTensor => ({
  shape: take(shape, order),
  data: permuted(data, shape, order, new Float32Array(data.length)),
});

/**
 * From our layout to PyTorch's; `name` is ours or PyTorch's, and says what the tensor is. With the module that it is
 * of, that says it.
 */
export function toTorch(name: string, tensor: StateTensor, module?: Module): StateTensor {
  const axes = module ? module.axesInTorch(name) : productAxes(name, tensor.shape.length);
  return axes ? permuteHost(tensor, axes) : tensor;
}

const withoutOnes = (shape: Shape): string => shape.filter((size) => size !== 1).join();

/**
 * From PyTorch's layout to that of the module's tensor of this name, `wanted` its shape. A convolution of 1x1 is a
 * linear layer, and one number a channel has as many axes as one likes: shapes that differ by axes of 1 are one.
 */
function fromTorch(name: string, given: StateTensor, module: Module, wanted: Shape | undefined): StateTensor {
  const axes = module.axesInTorch(name);
  const there = wanted && (axes?.map((axis) => wanted[axis]!) ?? wanted);
  const isReshaped = there && there.length !== given.shape.length && withoutOnes(there) === withoutOnes(given.shape);
  const tensor = isReshaped ? { ...given, shape: there } : given;
  const back = axes?.map((_, i) => axes.indexOf(i));
  return back && tensor.shape.length === back.length ? permuteHost(tensor, back) : tensor;
}

/** Our name of a tensor that PyTorch calls `name`. */
export const fromTorchName = (name: string, { fromFile }: Renames = SAME): string => camel(fromFile(name));

/** PyTorch's name of a tensor of ours. */
export const toTorchName = (name: string, { toFile }: Renames = SAME): string => toFile(snake(name));

/** What a weight can be made of; undefined for 64-bit integers and bytes of an unknown dtype. */
function numbersOf({ dtype, shape, data }: StoredTensor): StateTensor | undefined {
  return dtype === "raw" || data instanceof BigInt64Array || data instanceof BigUint64Array
    ? undefined
    : { shape, data };
}

/** A report in the names and layouts of the file, `files` being its names by ours. */
function reportInFile(
  report: LoadReport,
  module: Module,
  files: ReadonlyMap<string, string>,
  renames: Renames,
): LoadReport {
  // A file that uses none of the renamed names would not use them for what it lacks.
  const isRenamed = [...files.values()].some((name) => renames.fromFile(name) !== name);
  const name = (ours: string) => files.get(ours) ?? toTorchName(ours, isRenamed ? renames : SAME);
  const shape = (ours: string, found: Shape): Shape => {
    const axes = module.axesInTorch(ours);
    return axes?.length === found.length ? take(found, axes) : found;
  };
  return {
    missing: report.missing.map(name),
    unexpected: report.unexpected.map(name),
    mismatched: report.mismatched.map(({ name: ours, given, wanted }) => ({
      name: name(ours),
      given: shape(ours, given),
      wanted: shape(ours, wanted),
    })),
  };
}

/** Options of `loadTorch`. */
export interface LoadTorchOptions {
  /** Whether everything has to fit; default true. */
  readonly strict?: boolean;
  /** Default `timmRenames`, or `TORCHVISION` for a file that is not timm's. */
  readonly renames?: Renames;
}

const LOAD_TORCH: Kinds<LoadTorchOptions> = { strict: "boolean", renames: "any" };

/**
 * Loads a PyTorch state dict by name. Counters (`num_batches_tracked`) are skipped. With `strict` (the default) missing
 * and unexpected names and other shapes are an error, and nothing is written; otherwise what fits is written, and the
 * rest - a classifier of other classes, say - is reported and stays. Errors and the report speak of the file's names
 * and PyTorch's layouts.
 */
export function loadTorch(
  module: Module,
  tensors: ReadonlyMap<string, StoredTensor>,
  options: LoadTorchOptions = {},
): LoadReport {
  const { strict = true, renames: given } = readOptions("loadTorch", options, LOAD_TORCH);
  if (!(module instanceof Module)) throw new ArgumentError(`loadTorch: the module must be one; got ${what(module)}.`);
  if (!(tensors instanceof Map)) {
    throw new ArgumentError(
      `loadTorch: tensors must be those of a file, by name; got ${what(tensors)}. Pass (await readSafetensors(path)).tensors.`,
    );
  }
  const renames = given ?? timmRenames([...tensors.keys()]) ?? TORCHVISION;
  const own = module.state();
  const state = new Map<string, StateTensor>();
  const files = new Map<string, string>();
  const foreign: string[] = [];
  for (const [name, tensor] of tensors) {
    if (name.endsWith("num_batches_tracked")) continue;
    const ours = fromTorchName(name, renames);
    const numbers = numbersOf(tensor);
    if (numbers) {
      files.set(ours, name);
      state.set(ours, fromTorch(ours, numbers, module, own.get(ours)?.shape));
    } else if (own.has(ours)) {
      const got = tensor.dtype === "raw" ? tensor.stored : "64-bit integers";
      throw new FormatError(`loadTorch: weights must be numbers; got ${got} for ${name}.`);
    } else foreign.push(name);
  }
  const fits = reportInFile(compareState(own, state), module, files, renames);
  const report = { ...fits, unexpected: [...fits.unexpected, ...foreign] };
  if (strict) refuseMisfits("loadTorch", report);
  module.loadState(state, { strict: false });
  return report;
}
