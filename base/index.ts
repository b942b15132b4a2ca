// The ground floor: what every folder needs and no user calls.

export { firstTwice } from "./apart.ts";
export { codeOf, messageOf, SortieError } from "./errors.ts";
export {
  cacheFolder,
  diskFull,
  FULL_DISK,
  isDiskFull,
  isRunning,
  kindOf,
  leftovers,
  openFile,
  openFileSync,
  partOf,
  readChunks,
  readWhole,
  readWholeSync,
  writeWhole,
  writeWholeSync,
} from "./files.ts";
export { type ImageBytes, imagesWithin, isStored, packBytes } from "./image-bytes.ts";
export * as json from "./json-reader.ts";
export { exactly, firstOf, inColumns, lastOf, median, take, transposed, zip } from "./lists.ts";
export { guessOf, lookUp, nearest } from "./nearest.ts";
export {
  completer,
  defined,
  type Given,
  LIMIT,
  misfit,
  type Option,
  type OptionSet,
  type OptionValues,
  only,
  option,
  preset,
  SEED,
} from "./option.ts";
export {
  type Checked,
  isCount,
  type KindOf,
  type Kinds,
  type OptionsReader,
  optionsReader,
  type Readers,
  unread,
  type WordCheck,
  what,
  wordCheck,
} from "./options.ts";
export { permuted } from "./permuted.ts";
export { highProduct, philox } from "./philox.ts";
export { isNode } from "./platform.ts";
export { printable } from "./printable.ts";
export { isRecord, mapValues } from "./records.ts";
