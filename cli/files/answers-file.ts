// Answers of a classifier as a file or as text: JSON, or CSV with a row for each image.

import { take, zip } from "../../base/index.ts";
import type { Answers } from "../../exits/index.ts";
import { toJson, writeWhole } from "./whole.ts";

/** What images are called, what was answered, and what it means. */
export interface Told {
  /** Path or id of each image. */
  readonly names: readonly (string | number)[];
  readonly answers: Answers;
  /** Names of the classes, and of the exits. */
  readonly classes: readonly string[];
  readonly exits: readonly string[];
  /** [N], where they are known. */
  readonly labels?: ArrayLike<number>;
}

/** One image. */
interface AnswerRow {
  readonly image: string | number;
  readonly class: string;
  readonly exit: string;
  readonly score: number;
  readonly macs: number;
  readonly label?: string;
}

/** The rows of some answers. */
function answerRows({ names, answers, classes, exits, labels }: Told): readonly AnswerRow[] {
  const labelled = labels ? take(classes, labels).map((label) => ({ label })) : names.map(() => ({}));
  return zip(
    names,
    take(classes, answers.classes),
    take(exits, answers.exits),
    answers.scores,
    answers.macs,
    labelled,
  ).map(([image, name, exit, score, macs, label]) => ({ image, class: name, exit, score, macs, ...label }));
}

/** A field as RFC 4180 has it. */
const field = (value: string | number): string =>
  typeof value === "string" && /[",\r\n]/.test(value) ? `"${value.replaceAll('"', '""')}"` : String(value);

/** The rows as CSV, with a head. */
export function answersCsv(told: Told): string {
  const rows = answerRows(told);
  const head = ["image", "class", "exit", "score", "macs", ...(told.labels ? ["label"] : [])];
  const lines = rows.map((row) => Object.values(row).map(field).join());
  return `${[head.join(), ...lines].join("\r\n")}\r\n`;
}

/** Writes the rows, whole or not at all: CSV where the name ends in .csv, else JSON. */
export function writeAnswers(path: string, told: Told): void {
  writeWhole(path, path.endsWith(".csv") ? answersCsv(told) : toJson(answerRows(told)));
}
