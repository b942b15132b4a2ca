// The reader of options, the nearest name, and the one root of all errors.

import {
  completer,
  nearest,
  option,
  optionsReader,
  preset,
  SortieError,
  type WordCheck,
  what,
  wordCheck,
} from "../../base/index.ts";
import * as calibration from "../../calibration/index.ts";
import * as data from "../../data/index.ts";
import * as engine from "../../engine/functions.ts";
import * as exits from "../../exits/index.ts";
import * as nn from "../../nn/index.ts";
import { assert, errorOf, suite } from "../harness.ts";

const test = suite("options");

class Refused extends SortieError {}
const read = optionsReader(Refused);

interface Options {
  readonly seed: number;
  readonly momentum?: number;
  readonly keepdim?: boolean;
  readonly reduction?: "none" | "mean";
  readonly dim?: number | readonly number[];
  readonly onStep?: (step: number) => void;
}
const KINDS = {
  seed: "number!",
  momentum: "number",
  keepdim: "boolean",
  reduction: "string",
  dim: "any",
  onStep: "function",
} as const;
const ALL = "It takes seed, momentum, keepdim, reduction, dim, onStep.";

function refusal(given: unknown): string {
  try {
    read("f", given as Options, KINDS);
  } catch (error) {
    assert.instance(error, Refused);
    return (error as Error).message;
  }
  return "taken";
}

test("takes what fits, and gives back the same object", () => {
  const given: Options = { seed: 1, dim: [0, 1], reduction: "mean", onStep: () => undefined };
  assert.is(read<Options>("f", given, KINDS), given);
  assert.equal(refusal({ seed: Infinity, momentum: undefined }), "taken");
  assert.equal(refusal(Object.assign(Object.create(null), { seed: 1 })), "taken");
});

test("what is undefined is as if it were not given", () => {
  const given = { seed: 1, momentum: undefined, keepdim: true };
  assert.equal(Object.keys(read("op", given as unknown as Options, KINDS)), ["seed", "keepdim"]);
});

test("names an unknown option, the nearest one, and all", () => {
  assert.equal(refusal({ seed: 1, momentun: 0.9 }), `f: unknown option "momentun". Did you mean "momentum"? ${ALL}`);
  assert.equal(refusal({ seed: 1, keep_dim: true }), `f: unknown option "keep_dim". Did you mean "keepdim"? ${ALL}`);
  assert.equal(refusal({ seed: 1, dims: 0 }), `f: unknown option "dims". Did you mean "dim"? ${ALL}`);
  assert.equal(refusal({ seed: 1, ceilMode: undefined }), `f: unknown option "ceilMode". ${ALL}`);
  assert.equal(refusal({ seed: 1, toString: 1 }), `f: unknown option "toString". ${ALL}`);
});

test("names an option that is missing, not a number, or of another kind", () => {
  assert.equal(refusal({}), `f: seed must be given; got none. ${ALL}`);
  assert.equal(refusal({ seed: NaN }), "f: seed must be a number; got NaN.");
  assert.equal(refusal({ seed: "1" }), 'f: seed must be a number; got "1".');
  assert.equal(refusal({ seed: null }), "f: seed must be a number; got null.");
  assert.equal(refusal({ seed: 1, keepdim: 1 }), "f: keepdim must be a boolean; got 1.");
  assert.equal(refusal({ seed: 1, onStep: [1, 2] }), "f: onStep must be a function; got [1,2].");
  assert.equal(
    refusal({ seed: Promise.resolve(1) }),
    "f: seed must be a number; got a Promise (is an await missing?).",
  );
});

test("refuses what is no object of options", () => {
  const got = (value: unknown): string | undefined =>
    /plain object; got (.*)\. It takes seed/.exec(refusal(value))?.[1];
  assert.equal(got(undefined), "undefined");
  assert.equal(got(null), "null");
  assert.equal(got(3), "3");
  assert.equal(got([1]), "[1]");
  assert.equal(got(new Float32Array(2)), "a Float32Array");
  assert.equal(got(new Map()), "a Map");
  assert.equal(got(Promise.resolve({})), "a Promise (is an await missing?)");
});

test("finds the nearest name, and none where nothing is near", () => {
  const names = ["dim", "keepdim", "labelSmoothing", "betas"];
  assert.equal(nearest("label_smoothing", names), "labelSmoothing");
  assert.equal(nearest("beta", names), "betas");
  assert.equal(nearest("Dim", names), "dim");
  assert.equal(nearest("dmi", names), "dim");
  assert.equal(nearest("aplha", ["delta", "alpha"]), "alpha");
  assert.equal(nearest("axis", names), undefined);
  assert.equal(nearest("x", ["y"]), undefined);
  assert.equal(nearest("x", []), undefined);
});

test("every error class of every entry has one root", () => {
  const classes = [engine, nn, exits, calibration, data].flatMap((entry) =>
    Object.values(entry as Record<string, unknown>).filter(
      (value): value is typeof Error => typeof value === "function" && value.prototype instanceof Error,
    ),
  );
  assert.ok(classes.length > 10, `${classes.length} classes`);
  const strangers = classes.filter((Class) => Class !== SortieError && !(Class.prototype instanceof SortieError));
  assert.equal(
    strangers.map(({ name }) => name),
    [],
  );
});

const complete = completer(read);
const SET = {
  kappa: option.number(1, "steepness", { above: 0, basis: "the public code" }),
  epochs: option.whole(undefined, "passes", { min: 1 }),
  gate: option.choice(["soft", "hard"], "kind"),
  shares: option.list([0.5, 0.5], "parts", { must: "a list of two shares", min: 0, max: 1, length: 2 }),
  open: option.toggle(false, "no gate"),
} as const;
const refused = async (given: object, message: string) =>
  assert.is((await errorOf(() => complete("f", SET, given))).message, message);

test("descriptors fill what is not given, and leave out what has no default", () => {
  const filled = { kappa: 1, epochs: undefined, gate: "soft", shares: [0.5, 0.5], open: false };
  assert.equal(complete("f", SET, {}), filled);
  assert.equal(complete("f", SET, { epochs: 3, gate: "hard" }), { ...filled, epochs: 3, gate: "hard" });
  assert.is(preset(SET.kappa, 10).default, 10);
  assert.is(preset(SET.kappa, 10).basis, "the public code");
});

test("descriptors refuse what is unknown, out of range, or of another kind, with one sentence each", async () => {
  await refused(
    { kapa: 1 },
    'f: unknown option "kapa". Did you mean "kappa"? It takes kappa, epochs, gate, shares, open.',
  );
  await refused({ kappa: 0 }, "f: kappa must be a number above 0; got 0.");
  await refused({ kappa: Infinity }, "f: kappa must be a number above 0; got Infinity.");
  await refused({ epochs: 1.5 }, "f: epochs must be a whole number of at least 1; got 1.5.");
  await refused({ gate: "firm" }, 'f: gate must be one of soft, hard; got "firm".');
  await refused({ shares: [1, 2] }, "f: shares must be a list of two shares; got [1,2].");
  await refused({ shares: [1] }, "f: shares must be a list of two shares; got [1].");
  await refused({ open: 1 }, "f: open must be true or false; got 1.");
});

test("one of a few words, with the error of whoever asks", async () => {
  class Own extends SortieError {}
  const check: WordCheck = wordCheck(Own);
  const gate: string = "soft";
  check("f", "gate", gate, ["soft", "hard"]);
  const known: "soft" | "hard" = gate;
  assert.is(known, "soft");
  for (const wrong of ["firm", undefined, 1, ["soft"]]) {
    const error = await errorOf(() => check("f", "gate", wrong, ["soft", "hard"]));
    assert.instance(error, Own);
    assert.is(error.message, `f: gate must be one of soft, hard; got ${what(wrong)}.`);
  }
});
