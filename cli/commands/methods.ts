// `sortie methods`: which ways to train there are, and what each one takes.

import { lookUp, type Option } from "../../base/index.ts";
import { CERTIFIED, METHODS, type Method, type PolicyPlan } from "../../exits/index.ts";
import { isUsual, ruleName } from "../published.ts";
import { ABSENT, refuseAbsent } from "../settings/absent.ts";
import { type CommandSpec, readCommand } from "../settings/command.ts";
import type { Print } from "../settings/flags.ts";
import { describeOption } from "../settings/settings.ts";

export const methodsSpec = {
  name: "methods",
  usage: "[NAME]",
  paths: { most: 1, must: "one name at most" },
  about: `Lists the ways to train that --method of sortie train takes, or explains one: where it was published, its options, their
defaults, and where these come from.`,
  flags: {},
  more: `  sortie methods
  sortie methods soft-cgt
`,
} satisfies CommandSpec;

/** Runs the command; returns the exit code. @throws SortieError for an unknown name. */
export function runMethods(args: readonly string[], print: Print = console.log): number {
  const asked = readCommand(methodsSpec, args, print);
  if (!asked) return 0;
  const [name] = asked.positionals;
  refuseAbsent("methods: the name", name);
  for (const line of name === undefined ? list() : explanation(lookUp("methods: the name", METHODS, name))) print(line);
  return 0;
}

function list(): readonly string[] {
  const width = Math.max(...Object.keys(METHODS).map(({ length }) => length));
  const line = (name: string, about: string) => `  ${name.padEnd(width)}  ${about}`;
  return [
    ...Object.values(METHODS).map(({ name, about }) => line(name, about)),
    ...Object.entries(ABSENT).map(([name, reason]) => line(name, `(not here: ${reason})`)),
  ];
}

/** What the paper decides by; nothing where that is what `sortie calibrate` does anyway. */
function decision(plan: PolicyPlan): readonly string[] {
  if (isUsual(plan)) return [];
  const { score } = plan;
  const goal = plan.rule === "budget" ? " --cost N (or another goal)" : "";
  const flag = score === CERTIFIED.score ? "" : `; certified thresholds on it: sortie calibrate RUN --score ${score}`;
  return [
    `  published rule: leave ${ruleName(plan)}, score ${score}: sortie calibrate RUN --as-published${goal}${flag}`,
  ];
}

function explanation({ name, about, paper, options, ...method }: Method): readonly string[] {
  const arxiv = paper?.arxiv === undefined ? "" : `, arXiv ${paper.arxiv}`;
  const code = paper?.code === undefined ? "" : `; code: ${paper.code}`;
  const lines = Object.entries(options).map(([key, option]) => [`--method.${key}`, explain(option)] as const);
  const width = Math.max(...lines.map(([flag]) => flag.length));
  return [
    `${name}: ${about}`,
    ...(paper ? [`  ${paper.title} (${paper.venue}${arxiv}${code})`] : []),
    ...decision(method.with().policy),
    ...lines.map(([flag, text]) => `  ${flag.padEnd(width)}  ${text}`),
    `  In brackets defaults, and where they come from; without a source they are ${paper ? "the paper's" : "the usual"}.`,
  ];
}

function explain(option: Option): string {
  const { default: value, basis } = option;
  const parts = [...(value === undefined ? [] : [String(value)]), ...(basis === undefined ? [] : [`by ${basis}`])];
  return `${describeOption(option)}${parts.length > 0 ? ` [${parts.join(", ")}]` : ""}`;
}
