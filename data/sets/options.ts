// What all data sets on disk take.

import type { Kinds } from "../../base/index.ts";
import { FILES, type FileOptions } from "../files.ts";
import { SPLIT, type SplitOptions } from "../splits.ts";

/** Where the files are, and how they are cut into parts. */
export interface DataOptions extends FileOptions, SplitOptions {}

export const DATA: Kinds<DataOptions> = { ...FILES, ...SPLIT };

/** The CIFAR-10 classes, which CINIC-10 shares. */
export const CIFAR10_CLASSES: readonly string[] = "airplane automobile bird cat deer dog frog horse ship truck".split(
  " ",
);

/** The ten digits. */
export const DIGITS: readonly string[] = [..."0123456789"];
