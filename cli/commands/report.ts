// `sortie report`: one HTML page to look at; see `page.ts` for what is on it.

import { COST_FLAGS } from "../files/costs-file.ts";
import { LOGITS_FLAGS, logitsOptions } from "../files/logits-file.ts";
import { checkOutput } from "../files/outputs.ts";
import { RunFolder } from "../files/run-folder.ts";
import { writeWhole } from "../files/whole.ts";
import { findings } from "../findings.ts";
import { renderPage } from "../report/page.ts";
import { chartLibraries } from "../report/plots.ts";
import { readDetails } from "../report/run-details.ts";
import { type CommandSpec, ONE_SOURCE, path, readCommand } from "../settings/command.ts";
import type { Print } from "../settings/flags.ts";
import { POLICY_FLAGS, unknownOrigin } from "./evaluate.ts";

export const reportSpec = {
  name: "report",
  usage: "LOGITS | RUN [flags]",
  paths: ONE_SOURCE,
  about: `One self-contained HTML page about test logits and a policy: what is promised, by which method and under which
assumption; where images leave; accuracy against cost; reliability; metrics of every exit. For the folder of a run also:
learning curves, risk against target, example images, difficulty where it is known, settings and versions.`,
  flags: {
    ...POLICY_FLAGS,
    ...LOGITS_FLAGS,
    ...COST_FLAGS,
    out: path("default report.html (for a run: in its folder)"),
  },
  more: `  sortie report runs/glyphs-soft-cgt-1
  sortie report test.safetensors --policy policy.json --out report.html
`,
} satisfies CommandSpec;

/** Runs the command; returns the exit code. @throws SortieError for bad input. */
export async function runReport(args: readonly string[], print: Print = console.log): Promise<number> {
  const asked = readCommand(reportSpec, args, print);
  if (!asked) return 0;
  const { values, positionals } = asked;
  const source = positionals[0]!;
  await chartLibraries();
  const folder = RunFolder.at(source);
  const out = values.out ?? folder?.path("report") ?? "report.html";
  checkOutput("report", "--out", out, [source, values.policy, folder?.path("policy"), ...(folder?.sources() ?? [])]);
  const found = findings(source, values.policy, {
    ...logitsOptions(values),
    anyOrigin: values.anyOrigin,
    cost: values,
  });
  for (const line of unknownOrigin(found)) print(line);
  const page = await renderPage(found, folder && (await readDetails(folder, found)));
  writeWhole(out, page);
  print(`wrote ${out}`);
  return 0;
}
