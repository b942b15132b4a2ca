// The data sets that commands know by name, as runs take them.

import { lookUp, type Option, type OptionSet, option } from "../../base/index.ts";
import { DATA_SETS, type DataSet, type DataSetName } from "../../data/index.ts";

/** All names, for messages and choices. */
export const SET_NAMES = Object.keys(DATA_SETS) as readonly DataSetName[];

const PARTS = ["train", "validation", "calibration", "test"];

/** A run uses every part: none may be empty. */
function filled(options: OptionSet): OptionSet {
  const atLeastOne = (of: Option): Option => ({
    ...of,
    must: "a whole number of at least 1",
    fits: (value) => of.fits(value) && value !== 0,
  });
  return Object.fromEntries(
    Object.entries(options).map(([name, of]) => [name, PARTS.includes(name) ? atLeastOne(of) : of]),
  );
}

/** What tells runs on one's own files apart, see `contents.ts`; official files have checksums. */
const CONTENT = {
  content: option.text(
    undefined,
    "digest of the files: of pictures by names and sizes, of arrays by all bytes; found, or given where they must be these",
  ),
} as const;

const isOwn = ({ source, options }: DataSet): boolean => !source && ("dir" in options || "file" in options);

/** By the name that `--data` takes. */
export const SETS = Object.fromEntries(
  Object.entries(DATA_SETS).map(([name, set]) => [
    name,
    { ...set, options: { ...filled(set.options), ...(isOwn(set) && CONTENT) } },
  ]),
) as Readonly<Record<DataSetName, DataSet>>;

/** The known set of a name. @throws SortieError that lists the names. */
export const knownSet = (command: string, name: string): DataSet => lookUp(`${command}: the data set`, SETS, name);
