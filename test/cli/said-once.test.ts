// An option that a function of the library describes is not described again by a command: its flag takes type, default,
// check and words from there.

import { readdirSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { assert, suite } from "../harness.ts";

const root = fileURLToPath(new URL("../..", import.meta.url));

/** The sources below some folders. */
const sources = (...folders: readonly string[]): string[] =>
  folders.flatMap((folder) =>
    readdirSync(root + folder, { recursive: true, encoding: "utf8" })
      .filter((file) => file.endsWith(".ts"))
      .map((file) => readFileSync(`${root}${folder}/${file}`, "utf8")),
  );

/** Names of the options that a text describes on the spot. */
const describes = (text: string): string[] => [...text.matchAll(/\b(\w+): option\.\w+\(/g)].map(([, name]) => name!);

/** Names of the options that a text's functions take: keys of records of the type `Kinds`. */
const takes = (text: string): string[] =>
  [...text.matchAll(/: Kinds<[^=]*= \{([^}]*)\}/g)].flatMap(([, body]) =>
    [...body!.matchAll(/\b(\w+):/g)].map(([, name]) => name!),
  );

/** One word for two things: what the flag means, beside what the function's option means. */
const OTHER_THINGS: Readonly<Record<string, string>> = {
  augment: "a recipe by name; an augmenter",
  batches: "sizes to time; a source of batches",
  exits: "stages that exits follow; their number",
  head: "a kind by name; a head, or what makes one",
  images: "how many to time; an array's name in a file",
  last: "a kind of head by name; what becomes of the last batch, or the last exit's weight",
  lock: "seconds; a lock that is held",
  method: "a training method by its former key; a rule, a scaling or a set score",
  name: "of a run or a data set; of a corruption",
  optimizer: "by name; with its options",
  scale: "of logits; of a hint's loss",
  schedule: "by name; with its options",
  weights: "a file by its former key; a hash of them",
  shares: "that leave at the first exit; of a scene's parts",
};

const test = suite("options said once");

test("a command spells no option that a function of the library takes", () => {
  const library = sources("calibration", "exits", "data");
  const known = new Set([...library.flatMap(describes), ...library.flatMap(takes)]);
  const spelled = [...new Set(sources("cli").flatMap(describes))].filter((name) => known.has(name)).sort();
  assert.ok(known.has("sameSamples") && known.has("anyOrigin"), "what functions take is found");
  assert.equal(
    spelled.filter((name) => !Object.hasOwn(OTHER_THINGS, name)),
    [],
    "take the descriptor from calibration/, exits/ or data/",
  );
  assert.equal(
    Object.keys(OTHER_THINGS).filter((name) => !spelled.includes(name)),
    [],
    "exceptions that nothing needs",
  );
});
