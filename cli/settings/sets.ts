// The data sets that commands know by name, as runs take them.

import { lookUp, type Option, type OptionSet } from "../../base/index.ts";
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

/** By the name that `--data` takes. */
export const SETS = Object.fromEntries(
  Object.entries(DATA_SETS).map(([name, set]) => [name, { ...set, options: filled(set.options) }]),
) as Readonly<Record<DataSetName, DataSet>>;

/** The known set of a name. @throws SortieError that lists the names. */
export const knownSet = (command: string, name: string): DataSet => lookUp(`${command}: the data set`, SETS, name);
