// A claim of a paper, tested on finished runs of one comparison: which runs, what is measured of them, and whether the
// claim held. Each is a config, which `sortie compare --config` trains, and a script, which reads what that has made
// and writes its table, its figure and every number.

import { mkdirSync } from "node:fs";
import { basename, join } from "node:path";
import { pathToFileURL } from "node:url";
import type { TopLevelSpec } from "vega-lite";
import { firstOf, writeWholeSync } from "../../base/index.ts";
import { plainJson } from "../../calibration/index.ts";
import {
  checkAgreement,
  drawPlot,
  experimentsOfFile,
  figuresOf,
  folded,
  html,
  RunFolder,
  readLogits,
} from "../../cli/index.ts";
import { RUN_FILES } from "../../exits/index.ts";
import { readFlags } from "../flags.ts";
import { type Curve, type Kept, type Logits, type OverSeeds, type Range, SEEDS } from "./measures.ts";

/** A trained network of the comparison. */
export interface Network {
  readonly label: string;
  readonly backbone: string;
  readonly seed: number;
  readonly dir: string;
  readonly commit: string;
  readonly logits: Logits;
  /** What the comparison says of it. */
  readonly figures: ReturnType<typeof figuresOf>;
}

/** How often a measure is repeated. */
interface Repeats {
  /** Of calibration images, at these levels. */
  readonly draws: number;
  readonly alpha: number;
  readonly delta: number;
  /** Of test images, or of networks. */
  readonly resamples: number;
}

/** Everything that a study looks at: networks of one backbone. */
export interface Study extends Repeats {
  readonly networks: readonly Network[];
  /** Networks of a label, by seed. */
  of(label: string): readonly Network[];
  /** Networks of several labels, seed by seed: the seeds that all of them have. */
  together<L extends readonly string[]>(...labels: L): readonly { readonly [K in keyof L]: Network }[];
}

/** The backbone of all hypotheses; of another one accuracies and costs are others. */
const BACKBONE = "resnet";

/** Rows of text under a head. */
export interface Sheet {
  readonly title: string;
  readonly text: string;
  readonly head: readonly string[];
  readonly rows: readonly (readonly string[])[];
}

/** Whether a claim held here. */
export interface Verdict {
  readonly claim: string;
  readonly held: "held" | "did not hold" | "undecided";
  readonly because: string;
  /** Of the networks that it is said of; absent where it is said of networks of any kind. */
  readonly seeds?: number;
}

/** What a study finds. */
export interface Answer {
  readonly verdicts: readonly Verdict[];
  readonly sheets: readonly Sheet[];
  readonly figure: { readonly about: string; readonly spec: TopLevelSpec };
  readonly numbers: unknown;
}

/** A claim and its test. */
export interface Hypothesis {
  readonly name: string;
  readonly title: string;
  /** Labels without which nothing can be said. */
  readonly needs: readonly string[];
  readonly study: (study: Study) => Answer;
}

/** In percent, without the sign. */
export const percent = (value: number, digits = 1): string =>
  Number.isNaN(value) ? "-" : (100 * value).toFixed(digits);

/** `-1.2 (-1.9 to -0.4)`, in points of percent. */
export const pointsRange = ({ mean, lower, upper }: Range, digits = 2): string =>
  `${percent(mean, digits)} (${percent(lower, digits)} to ${percent(upper, digits)})`;

/** A claim that something is below, or above, 0: decided where the middle 95 % lie on one side. */
export function verdictOf(claim: string, difference: OverSeeds, wanted: "below" | "above", what: string): Verdict {
  const sign = wanted === "below" ? 1 : -1;
  const [low, high] = [sign * difference.lower, sign * difference.upper].sort((a, b) => a - b) as [number, number];
  const held = high < 0 ? "held" : low > 0 ? "did not hold" : "undecided";
  const sure = held === "undecided" ? "; repetition alone explains as much" : "";
  const { seeds } = difference;
  return { claim, held, because: `${what}: ${pointsRange(difference)} points, ${seedsText(seeds)}${sure}`, seeds };
}

const seedsText = (seeds: number): string => `${seeds} ${seeds === 1 ? "seed" : "seeds"}`;

/**
 * A promise that was to hold in a share 1 - delta of the draws, and what became of it on networks that differ in their
 * seed alone: the worst decides, and of an exit that never opens on one of them it cannot be said to hold.
 */
export function promiseVerdict(
  claim: string,
  networks: readonly Kept[],
  { draws, delta }: Pick<Repeats, "draws" | "delta">,
  what: string,
): Verdict {
  const broken = Math.max(...networks.map((one) => one.broken));
  const open = firstOf(networks).open.map((_, j) => Math.min(...networks.map((one) => one.open[j]!)));
  // What chance alone leaves of so few draws.
  const slack = 2 * Math.sqrt((delta * (1 - delta)) / draws);
  const kept = open.includes(0) ? "undecided" : "held";
  const held = broken <= delta - slack ? kept : broken > delta + slack ? "did not hold" : "undecided";
  const because = `${what} in ${percent(broken)} % of ${draws} draws; exits were open in ${open.join(" / ")} of them`;
  return { claim, held, because, seeds: networks.length };
}

/** Curves by name, as one picture. */
export function curvesFigure(curves: ReadonlyMap<string, Curve>): TopLevelSpec {
  const values = [...curves].flatMap(([network, { costs, accuracies }]) =>
    costs.map((cost, k) => ({ network, cost, accuracy: accuracies[k]! })),
  );
  const quantitative = (field: string, title: string) => ({
    field,
    type: "quantitative" as const,
    scale: { zero: false },
    axis: { title, format: ".4~%" as const },
  });
  return {
    width: 700,
    height: 380,
    data: { values },
    mark: { type: "line", strokeWidth: 2 },
    encoding: {
      x: quantitative("cost", "mean cost, share of a full pass"),
      y: quantitative("accuracy", "accuracy on test images"),
      color: {
        field: "network",
        type: "nominal",
        sort: null,
        legend: { title: null, orient: "bottom", columns: 2, symbolLimit: 0 },
      },
    },
  };
}

/** The finished runs of a config; the labels of those that are not. */
function readStudy(config: string, repeats: Repeats, dataDir?: string): Study & { readonly missing: string[] } {
  const missing: string[] = [];
  const experiments = experimentsOfFile(config, dataDir).filter(({ backbone }) => backbone === BACKBONE);
  const sets = [...new Set(experiments.map(({ data }) => data))];
  if (sets.length > 1) throw new Error(`${config}: a claim is tested on one data set; got ${sets.join(", ")}.`);
  const networks = experiments.flatMap(({ config, ...key }): Network[] => {
    const folder = RunFolder.of(config);
    if (folder.recordOrNone()?.finished === undefined) {
      missing.push(`${key.backbone} ${key.method} seed ${key.seed}`);
      return [];
    }
    folder.check(config, "Choose another out for the config, or remove that folder.");
    checkAgreement(folder);
    const split = (part: "validation" | "calibration" | "test") => readLogits(join(folder.dir, RUN_FILES.logits(part)));
    const { made } = folder.record();
    return [
      {
        ...{ label: key.method, backbone: key.backbone, seed: key.seed, dir: folder.dir, commit: made["commit"] ?? "" },
        logits: { validation: split("validation"), calibration: split("calibration"), test: split("test") },
        figures: figuresOf(folder, key),
      },
    ];
  });
  const of = (label: string) => networks.filter((network) => network.label === label);
  const together: Study["together"] = (...labels) => {
    const seeds = of(labels[0] ?? "").map(({ seed }) => seed);
    const found = seeds.map((seed) => labels.map((label) => of(label).find((network) => network.seed === seed)));
    return found.filter((all) => all.every((network) => network !== undefined)) as unknown as ReturnType<
      typeof together<typeof labels>
    >;
  };
  return { ...repeats, networks, missing, of, together };
}

const REPEATS: Repeats = { draws: 100, alpha: 0.05, delta: 0.1, resamples: 200 };

/** What `testHypothesis` is told. */
export interface TestOptions extends Partial<Repeats> {
  readonly config: string;
  readonly out: string;
  readonly dataDir?: string | undefined;
}

/** Tests a claim on finished runs and writes OUT/NAME.json, .md and .html. @throws Error where runs are missing. */
export async function testHypothesis(hypothesis: Hypothesis, options: TestOptions): Promise<Answer> {
  const { name, title, needs } = hypothesis;
  const { config, out, dataDir, ...given } = options;
  const study = readStudy(config, { ...REPEATS, ...given }, dataDir);
  const lacking = needs.filter((label) => study.of(label).length === 0);
  if (lacking.length > 0)
    throw new Error(
      `${name}: finished runs of ${lacking.join(", ")} must be there. Make them: sortie compare --config ${config}`,
    );
  // What cannot be written is found before minutes of work.
  mkdirSync(out, { recursive: true });
  const answer = hypothesis.study(study);
  const { verdicts, sheets, figure, numbers } = answer;
  const said = verdicts.map(({ claim, held, because }) => `${claim}: **${held}** here (${because}).`);
  const { draws, alpha, delta, resamples } = study;
  const runs = study.networks.map(({ label, backbone, seed }) => `${backbone} ${label} seed ${seed}`);
  const notes = [
    `Made by bench/papers/${name}.ts from the finished runs of bench/papers/${name}.json.`,
    `Runs: ${runs.join(", ")}. Commit of the runs: ${[...new Set(study.networks.map(({ commit }) => commit))].join(", ")}.`,
    `In parentheses the middle 95 % of ${draws} draws of calibration images, or of ${resamples} resamples of images. Levels: at most ${100 * alpha} % wrong, with probability ${1 - delta}.`,
    ...seedNotes(verdicts),
    ...study.networks.flatMap(({ label, seed, figures: { collapsed } }) =>
      collapsed.length > 0 ? [`Collapsed: ${label} seed ${seed}, ${collapsed.join("; ")}.`] : [],
    ),
    ...(study.missing.length > 0 ? [`Not finished, and left out: ${study.missing.join(", ")}.`] : []),
  ];
  const path = (ending: string) => join(out, `${name}.${ending}`);
  const made = {
    networks: study.networks.map(({ logits: _, figures, dir, ...network }) => ({
      ...network,
      collapsed: figures.collapsed,
      run: basename(dir),
    })),
    missing: study.missing,
  };
  writeWholeSync(
    path("json"),
    folded(plainJson({ name, title, verdicts, levels: { draws, alpha, delta, resamples }, ...made, numbers })),
  );
  writeWholeSync(path("md"), markdown(title, [...said, ...notes], sheets));
  const svg = await drawPlot(figure.spec, figure.about);
  const text = (line: string) => `<p>${html.escapeHtml(line.replaceAll("**", ""))}</p>`;
  writeWholeSync(
    path("html"),
    html.page({
      title,
      brand: `sortie bench ${name}`,
      header: said.map(text).join("\n"),
      body: [
        html.section(figure.about, "", html.figure(svg)),
        ...sheets.map((sheet) =>
          html.section(sheet.title, html.escapeHtml(sheet.text), html.table(sheet.head, sheet.rows)),
        ),
        notes.map(text).join("\n"),
      ].join("\n"),
    }),
  );
  return answer;
}

/** What ranges hold, by the seeds behind each verdict. */
function seedNotes(verdicts: readonly Verdict[]): readonly string[] {
  const seeds = verdicts.flatMap(({ seeds = [] }) => seeds);
  return [
    ...(seeds.some((count) => count < SEEDS)
      ? [
          `Of fewer than ${SEEDS} seeds "held" and "did not hold" are said of these networks. What another training would give is not in the ranges; two trainings of one method differ by 0.3 points of area and more.`,
        ]
      : []),
    ...(seeds.some((count) => count >= SEEDS)
      ? [`Ranges over ${SEEDS} seeds and more hold what other seeds would give, by Student's t, beside the resamples.`]
      : []),
  ];
}

function markdown(title: string, lines: readonly string[], sheets: readonly Sheet[]): string {
  const row = (cells: readonly string[]) => `| ${cells.join(" | ")} |`;
  const tables = sheets.map(
    ({ title, text, head, rows }) =>
      `## ${title}\n\n${text}\n\n${[head, head.map(() => "---"), ...rows].map(row).join("\n")}\n`,
  );
  return `# ${title}\n\n${lines.join("\n\n")}\n\n${tables.join("\n")}`;
}

/** Runs a script that was called by name; nothing where it was imported. */
export async function asScript(url: string, hypothesis: Hypothesis): Promise<void> {
  if (process.argv[1] === undefined || url !== pathToFileURL(process.argv[1]).href) return;
  const { values } = readFlags(url, {
    options: {
      config: { type: "string", default: `bench/papers/${hypothesis.name}.json` },
      out: { type: "string", default: "runs/papers" },
      "data-dir": { type: "string" },
      draws: { type: "string", default: String(REPEATS.draws) },
      resamples: { type: "string", default: String(REPEATS.resamples) },
    },
  });
  const { config, out, "data-dir": dataDir } = values;
  const repeats = { draws: Number(values.draws), resamples: Number(values.resamples) };
  const { verdicts } = await testHypothesis(hypothesis, { config, out, dataDir, ...repeats });
  for (const { claim, held, because } of verdicts) console.log(`${claim}: ${held} here (${because})`);
  console.log(`wrote ${join(out, hypothesis.name)}.json, .md, .html`);
}
