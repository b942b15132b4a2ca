// `sortie calibrate`: thresholds with a guarantee from cached logits, written as a policy file.

import { realpathSync } from "node:fs";
import { SortieError } from "../../base/index.ts";
import {
  applyScaling,
  type BudgetGoal,
  encodePolicy,
  explain,
  fit,
  meetBudget,
  type PolicyFile,
  type PolicyRequest,
  type PromisedGroup,
  type Scaling,
  type ScalingOptions,
  type Source,
  scalingNotes,
  scoreName,
  type Table,
} from "../../calibration/index.ts";
import { exitNames } from "../exit-names.ts";
import { readLogits } from "../files/logits-file.ts";
import { RunFolder } from "../files/run-folder.ts";
import { reading, writeWhole } from "../files/whole.ts";
import { percent, threshold } from "../format.ts";
import { calibrateBy } from "../report/targets.ts";
import {
  checkChoice,
  levelFlag,
  numberFlag,
  onePath,
  type Print,
  readFlags,
  unpackFlag,
  wholeFlag,
} from "../settings/flags.ts";

export const calibrateHelp = `sortie calibrate LOGITS | RUN [flags]

Finds thresholds under which leaving early keeps its promise, from calibration logits (safetensors or npz with arrays
logits [samples, exits, classes], labels, and optionally macs and ids), and writes them as a policy file. For the folder of a
run, its logits and the settings in its config.json take the place of the defaults.

  --alpha A            target risk, between 0 and 1 (default 0.05)
  --delta D            failure probability, between 0 and 1 (default 0.1)
  --validation FILE    labelled logits on which thresholds to try are laid out (default: a third of LOGITS)
  --method M           ltt: error rate of early leavers, with probability 1 - delta (default)
                       crc: mean loss over all samples, on average; ucb: the same with probability 1 - delta
                       budget: no guarantee; the best thresholds on LOGITS for one of
                         --accuracy A   the least cost at this accuracy
                         --cost C       the best accuracy at this share of the full network's cost
                         --milliseconds T1,T2,... --budget T   measured time up to each exit, and the mean time allowed
  --control C          ltt: exit (default), early, label or predictedClass
  --procedure P        ltt: path (default), union, split or sequential
  --test T             ltt: binomial (default), hoeffdingBentkus or wsr; --correction: fixedSequence (default), holm, bonferroni
  --loss L             crc, ucb: acceptedAndWrong (default), disagreement, gap, brierGap, brierDisagreement, hellinger
  --bound B            ucb: clopperPearson (default for losses of 0 or 1), wsr or hoeffdingBentkus
  --score S            maxProb (default), margin, entropy, normalisedEntropy, energy, maxLogit, patience,
                       productOfExperts, geometricEnsemble or arithmeticEnsemble
  --scale S            fit temperature, vector, matrix, dirichlet, histogram, isotonic or beta scaling on the validation
                       logits first; the last three change the score maxProb only
  --probabilities      the arrays hold probabilities; --any-values: logits, even where they look like probabilities
  --max-unpacked B     bytes that a compressed array may unpack to (default: 1,000 times the file, from 64 MiB to 4 GiB)
  --same-samples       use validation samples even where they are calibration samples; then no guarantee holds
  --seed N             of the split, where there is one (default 0)
  --out FILE           the policy file (default policy.json)

Exit code 0: certified. 2: nothing could be certified (the file says so too). 1: bad input.

  sortie calibrate calibration.safetensors --alpha 0.05 --delta 0.1
  sortie calibrate calibration.npz --validation validation.npz --method crc --loss disagreement --alpha 0.02
  sortie calibrate validation.npz --method budget --milliseconds 2.1,4.0,7.5 --budget 4
`;

const choices = {
  method: ["ltt", "crc", "ucb", "budget"],
  control: ["exit", "early", "label", "predictedClass"],
  procedure: ["path", "union", "split", "sequential"],
  test: ["binomial", "hoeffdingBentkus", "wsr"],
  correction: ["fixedSequence", "holm", "bonferroni"],
  bound: ["clopperPearson", "wsr", "hoeffdingBentkus"],
  loss: ["acceptedAndWrong", "disagreement", "gap", "brierGap", "brierDisagreement", "hellinger"],
  score: [
    "maxProb",
    "margin",
    "entropy",
    "normalisedEntropy",
    "energy",
    "maxLogit",
    "patience",
    "productOfExperts",
    "geometricEnsemble",
    "arithmeticEnsemble",
  ],
  scale: ["temperature", "vector", "matrix", "dirichlet", "histogram", "isotonic", "beta"],
} as const;

/** Checked values of the flags in `choices`. */
type Choices = { readonly [Flag in keyof typeof choices]?: (typeof choices)[Flag][number] };

/** Flags as text, as far as they have one. */
type Flags = Partial<Record<"validation" | "scale" | "control" | "out", string>>;

const DEFAULTS: Flags & Record<"alpha" | "delta" | "out", string> = { alpha: "0.05", delta: "0.1", out: "policy.json" };

/** What the flags are for the folder of a run, unless given. */
function runDefaults(folder: RunFolder): Flags {
  const { alpha, delta, control, scale } = folder.config().calibration;
  return {
    ...{ alpha: String(alpha), delta: String(delta), control },
    ...(scale !== "none" && { scale }),
    validation: folder.logits("validation"),
    out: folder.path("policy"),
  };
}

const lttFlags = ["control", "procedure", "test", "correction"] as const;
const meanFlags = ["loss", "bound"] as const;
const goalFlags = ["accuracy", "cost", "milliseconds", "budget"] as const;

/** Flags that mean something to one method only. */
const methodFlags: Readonly<Record<(typeof choices.method)[number], readonly string[]>> = {
  ltt: lttFlags,
  crc: ["loss"],
  ucb: meanFlags,
  budget: goalFlags,
};

/** A flag of another method would be passed over in silence: refuse it. */
function checkMethodFlags(given: Readonly<Record<string, unknown>>, method: keyof typeof methodFlags): void {
  for (const flag of Object.values(methodFlags).flat()) {
    if (given[flag] === undefined || methodFlags[method].includes(flag)) continue;
    const own = Object.entries(methodFlags).filter(([, flags]) => flags.includes(flag));
    const names = own.map(([name]) => name).join(" or ");
    throw new SortieError(`calibrate: --${flag} goes with --method ${names}; got --method ${method}.`);
  }
}

const flagOptions = {
  alpha: { type: "string" },
  delta: { type: "string" },
  validation: { type: "string" },
  method: { type: "string", default: "ltt" },
  control: { type: "string" },
  procedure: { type: "string" },
  test: { type: "string" },
  correction: { type: "string" },
  bound: { type: "string" },
  accuracy: { type: "string" },
  cost: { type: "string" },
  milliseconds: { type: "string" },
  budget: { type: "string" },
  loss: { type: "string" },
  score: { type: "string" },
  scale: { type: "string" },
  probabilities: { type: "boolean", default: false },
  "any-values": { type: "boolean", default: false },
  "max-unpacked": { type: "string" },
  "same-samples": { type: "boolean", default: false },
  seed: { type: "string", default: "0" },
  out: { type: "string" },
  help: { type: "boolean", default: false },
} as const;

/** Runs the command; returns the exit code. @throws SortieError for bad input. */
export function runCalibrate(args: readonly string[], print: Print = console.log): number {
  const { values: given, positionals } = readFlags("calibrate", {
    args: [...args],
    allowPositionals: true,
    options: flagOptions,
  });
  if (given.help) {
    print(calibrateHelp);
    return 0;
  }
  const path = onePath("calibrate", positionals);
  const folder = RunFolder.at(path);
  const values = { ...DEFAULTS, ...(folder && runDefaults(folder)), ...given };
  for (const [flag, allowed] of Object.entries(choices)) {
    checkChoice("calibrate", flag, values[flag as keyof typeof choices], allowed);
  }
  const chosen = values as Choices;
  const { method = "ltt", score } = chosen;
  checkMethodFlags(given, method);
  const sameSamples = values["same-samples"];
  const paths = { calibration: folder?.logits("calibration") ?? path, validation: values.validation };
  if (!sameSamples) checkOtherFile(paths);
  const options = {
    isProbabilities: values.probabilities,
    anyValues: values["any-values"],
    ...unpackFlag("calibrate", values),
  };
  const tables = {
    calibration: readLogits(paths.calibration, options),
    validation: paths.validation === undefined ? undefined : readLogits(paths.validation, options),
  };
  const { scaling, calibration, validation } = scaled(tables, chosen.scale);
  const names = exitNames(calibration.exits, folder);
  if (scaling) for (const note of scalingNotes(scaling, names)) print(`warning: ${note}`);
  const request = requestOf(chosen, wholeFlag("calibrate", "seed", values.seed));
  const levels = {
    alpha: levelFlag("calibrate", "alpha", values.alpha),
    delta: levelFlag("calibrate", "delta", values.delta),
  };
  const result = request
    ? calibrateBy(request, levels, { calibration, validation }, sameSamples)
    : meetBudget(calibration, budgetGoal(values), score ? { score } : {});
  writeWhole(values.out, encodePolicy({ result, ...(scaling && { scaling }), ...(request && { request }) }));
  for (const line of summary(result, names)) print(line);
  const note = originNote(calibration, paths.calibration);
  if (result.ok && note !== undefined) print(note);
  print(`wrote ${values.out}`);
  return result.ok ? 0 : 2;
}

/** What nobody can check of a policy made on these logits, if anything. */
function originNote({ origin }: Pick<Table, "origin">, path: string): string | undefined {
  if (origin?.weights !== undefined) return undefined;
  return `note: ${path} does not say which weights its logits are of, so the policy is not refused on another network's; see that it is not used there.`;
}

const real = (path: string): string => reading(path, () => realpathSync(path));

/** One file for both sets, under whatever name. */
function checkOtherFile({
  calibration,
  validation,
}: {
  readonly calibration: string;
  readonly validation?: string | undefined;
}) {
  if (validation === undefined || real(calibration) !== real(validation)) return;
  throw new SortieError(
    `calibrate: --validation must be another file than the calibration logits; got ${validation} for both. ` +
      "No guarantee holds on samples that thresholds were laid out on; --same-samples does it all the same.",
  );
}

/** What is asked for besides the levels; undefined for a budget, which promises nothing. */
function requestOf(chosen: Choices, seed: number): PolicyRequest | undefined {
  const { method = "ltt", score } = chosen;
  if (method === "budget") return undefined;
  const shared = { seed, ...(score && { score }) };
  return method === "ltt"
    ? { rule: "learnThenTest", ...shared, ...pickChosen(chosen, lttFlags) }
    : { rule: "controlRisk", method, ...shared, ...pickChosen(chosen, meanFlags) };
}

/** The given ones among some flags. */
function pickChosen<Flag extends keyof Choices>(chosen: Choices, flags: readonly Flag[]): Pick<Choices, Flag> {
  const given = flags.filter((flag) => chosen[flag] !== undefined).map((flag) => [flag, chosen[flag]]);
  return Object.fromEntries(given) as Pick<Choices, Flag>;
}

/** What `--method budget` is to reach, from exactly one of its goals. */
function budgetGoal(values: Partial<Record<(typeof goalFlags)[number], string>>): BudgetGoal {
  const { accuracy, cost, milliseconds, budget } = values;
  const given = goalFlags.filter((flag) => values[flag] !== undefined).join(", ");
  if (accuracy !== undefined && given === "accuracy")
    return { accuracy: numberFlag("calibrate", "accuracy", accuracy) };
  if (cost !== undefined && given === "cost") return { cost: numberFlag("calibrate", "cost", cost) };
  if (milliseconds !== undefined && budget !== undefined && given === "milliseconds, budget") {
    return {
      milliseconds: milliseconds.split(",").map((text) => numberFlag("calibrate", "milliseconds", text)),
      budget: numberFlag("calibrate", "budget", budget),
    };
  }
  throw new SortieError(
    `calibrate: --method budget needs one goal: --accuracy, --cost, or --milliseconds with --budget; got ${given || "none"}.`,
  );
}

/** Scaling is fitted on validation samples only: fitted on calibration samples it would spend their independence. */
function scaled(
  tables: { readonly calibration: Table; readonly validation: Table | undefined },
  method: ScalingOptions["method"] | undefined,
): { readonly scaling?: Scaling; readonly calibration: Source; readonly validation: Source | undefined } {
  if (!method) return tables;
  if (!tables.validation) {
    throw new SortieError(
      "calibrate: --scale needs --validation; got none. Scaling must not be fitted on calibration samples.",
    );
  }
  const scaling = fit(tables.validation, { method });
  return {
    scaling,
    calibration: applyScaling(tables.calibration, scaling),
    validation: applyScaling(tables.validation, scaling),
  };
}

function summary(result: PolicyFile["result"], names: readonly string[]): readonly string[] {
  if (!result.ok) return [explain(result)];
  const found = [explain(result), ...thresholdLines(result, names)];
  if (!("alpha" in result)) {
    const cost = result.isTime ? `${result.cost.toFixed(3)} ms on average` : `${percent(result.cost)} of the full cost`;
    return [...found, `on these samples accuracy ${percent(result.accuracy)} at ${cost}`];
  }
  return [
    ...found,
    `on the calibration samples ${percent(result.coverage)} leave early, at ${percent(result.cost)} of the full cost`,
    ...result.tests.map((group) => `  ${groupName(group, names)}: ${group.errors} wrong of ${group.accepted}`),
  ];
}

/** One line, or one for each exit whose thresholds differ by class. */
function thresholdLines(
  { thresholds, score }: Extract<PolicyFile["result"], { readonly ok: true }>,
  names: readonly string[],
): readonly string[] {
  const early = names.slice(0, -1);
  const perExit = thresholds.length / early.length;
  const of = (j: number) => Array.from(thresholds.subarray(j * perExit, (j + 1) * perExit), threshold).join(" ");
  const title = `thresholds (${scoreName(score)})`;
  if (perExit === 1) return [`${title}: ${early.map((name, j) => `${name} ${of(j)}`).join(", ")}`];
  return early.map((name, j) => `${title} of ${name} by class: ${of(j)}`);
}

/** A group with the name of its exit as it is called here. */
const groupName = ({ name, exit }: PromisedGroup, names: readonly string[]): string =>
  exit === undefined ? name : name.replace(`exit ${exit + 1}`, names[exit]!);
