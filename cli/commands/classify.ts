// `sortie classify`: answers of a model file for pictures. `sortie predict`: for a data set, held against its labels.

import { readFileSync } from "node:fs";
import { firstOf, lastOf, type OptionValues, SortieError } from "../../base/index.ts";
import {
  type Answers,
  CLASSIFY_BATCH,
  CLASSIFY_RUNTIME,
  joinAnswers,
  type LoadedClassifier,
  load,
  readModel,
} from "../../exits/index.ts";
import { ofData } from "../bench/subject.ts";
import { answersCsv, writeAnswers } from "../files/answers-file.ts";
import { checkOutput } from "../files/outputs.ts";
import { reading } from "../files/whole.ts";
import { percent } from "../format.ts";
import { type CommandSpec, path, readCommand } from "../settings/command.ts";
import type { Print } from "../settings/flags.ts";

const SHARED = {
  batch: CLASSIFY_BATCH,
  runtime: CLASSIFY_RUNTIME,
  out: path("a file for the answers: CSV where its name ends in .csv, else JSON"),
} as const;

const loading = ({ batch, runtime }: Pick<OptionValues<typeof SHARED>, "batch" | "runtime">) => ({ batch, runtime });

/** What ran the stages, where there was a choice. */
const ranOn = ({ runtimes }: LoadedClassifier, { runtime }: Pick<OptionValues<typeof SHARED>, "runtime">) =>
  runtime === "auto" ? runtimes.map(({ reason }) => `ran on ${reason}`) : [];

export const classifySpec = {
  name: "classify",
  usage: "MODEL FILE ... [flags]",
  paths: { least: 2, most: Infinity, must: "a model file and at least one picture" },
  about: `Answers of a model file (sortie export) for JPEG and PNG pictures of any size, brought to the model's as its training
pictures were: class, exit, score and multiply-accumulates of each, as CSV.`,
  flags: SHARED,
  more: `  sortie classify model.sortie.safetensors a.jpg b.png
  sortie classify model.sortie.safetensors *.jpg --out answers.json
`,
} satisfies CommandSpec;

export const predictSpec = {
  name: "predict",
  usage: "MODEL [flags]",
  paths: { least: 1, most: 1, must: "one model file" },
  about: `Answers of a model file (sortie export) for the test images of the data set that it was trained on: accuracy, where images leave, and what they cost; each
answer in a file, if one is named.`,
  flags: { ...SHARED, dataDir: path("where the data set lies; drawn glyphs need none") },
  more: `  sortie predict model.sortie.safetensors --out answers.csv
  sortie predict model.sortie.safetensors --data-dir data/fashion-mnist --runtime auto
`,
} satisfies CommandSpec;

/** Runs the command; returns the exit code. @throws SortieError for bad input. */
export async function runClassify(args: readonly string[], print: Print = console.log): Promise<number> {
  const asked = readCommand(classifySpec, args, print);
  if (!asked) return 0;
  const { values, positionals } = asked;
  const model = firstOf(positionals);
  const files = positionals.slice(1);
  checkOutput("classify", "--out", values.out, positionals);
  using classifier = await load(model, loading(values));
  const channels = classifier.model.architecture.input[2];
  if (channels !== 1 && channels !== 3)
    throw new SortieError(`classify: the model must take grey or colour pictures; it takes ${channels} channels.`);
  const lots: Answers[] = [];
  for await (const lot of classifier.stream(lotsOf(files, values.batch))) lots.push(lot);
  const answers = joinAnswers(lots);
  const told = { names: files, answers, ...namesOf(classifier) };
  if (values.out === undefined) for (const line of answersCsv(told).trimEnd().split("\r\n")) print(line);
  else {
    for (const line of ranOn(classifier, values)) print(line);
    writeAnswers(values.out, told);
    print(`wrote ${values.out}: ${files.length} answers`);
  }
  return 0;
}

/** Pictures in lots that run together, each read when its turn comes. */
function* lotsOf(files: readonly string[], size: number): Generator<readonly File[]> {
  for (let first = 0; first < files.length; first += size) {
    yield files
      .slice(first, first + size)
      .map((file) => new File([reading(file, () => Uint8Array.from(readFileSync(file)))], file));
  }
}

const namesOf = ({ model }: LoadedClassifier) => ({
  classes: model.classes,
  exits: model.exits.map(({ stage }) => stage),
});

/** Runs the command; returns the exit code. @throws SortieError for bad input. */
export async function runPredict(args: readonly string[], print: Print = console.log): Promise<number> {
  const asked = readCommand(predictSpec, args, print);
  if (!asked) return 0;
  const { values, positionals } = asked;
  const model = firstOf(positionals);
  checkOutput("predict", "--out", values.out, [model]);
  const set = await ofData(await readModel(model), values.dataDir);
  if (typeof set === "string") throw new SortieError(`predict: the data set must be at hand; ${set}`);
  using classifier = await load(model, loading(values));
  const answers = await classifier.classify(set.images);
  const names = namesOf(classifier);
  for (const line of [...summaryOf(answers, set.labels, classifier), ...ranOn(classifier, values)]) print(line);
  if (values.out !== undefined) {
    writeAnswers(values.out, { names: [...set.ids], answers, ...names, labels: set.labels });
    print(`wrote ${values.out}: ${set.size} answers`);
  }
  return 0;
}

/** Accuracy and cost, and what leaves where. */
function summaryOf(answers: Answers, labels: Int32Array, { model }: LoadedClassifier): readonly string[] {
  const { length } = labels;
  const right = (rows: readonly number[]) => rows.filter((i) => answers.classes[i] === labels[i]).length / rows.length;
  const all = Array.from(labels, (_, i) => i);
  const full = lastOf(model.exits).macs;
  const cost = answers.macs.reduce((sum, macs) => sum + macs, 0) / (length * full);
  return [
    `${length} images: accuracy ${percent(right(all))}, cost ${percent(cost)} of the whole network's MACs`,
    ...model.exits.map(({ stage }, j) => {
      const here = all.filter((i) => answers.exits[i] === j);
      const accuracy = here.length > 0 ? `, accuracy ${percent(right(here))}` : "";
      return `  ${stage}: ${percent(here.length / length)} leave${accuracy}`;
    }),
    model.guarantee,
  ];
}
