// `sortie report`: one HTML page to look at; see `page.ts` for what is on it.

import { once } from "node:events";
import { statSync } from "node:fs";
import type { AddressInfo } from "node:net";
import { firstOf, type OptionValues, option, SortieError } from "../../base/index.ts";
import { COST_FLAGS } from "../files/costs-file.ts";
import { LOGITS_FLAGS, logitsOptions } from "../files/logits-file.ts";
import { checkOutput } from "../files/outputs.ts";
import { RunFolder } from "../files/run-folder.ts";
import { writeWhole } from "../files/whole.ts";
import { findings } from "../findings/findings.ts";
import { interruption } from "../interruption.ts";
import { serveLive } from "../report/live.ts";
import { renderPage, renderUnfinished } from "../report/page.ts";
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
    watch: option.toggle(
      false,
      "write nothing, but show the page of a run on this machine, where it follows the run as it trains; until interrupted",
    ),
    port: option.whole(undefined, "of --watch; default one that is free", { min: 1, max: 65535 }),
  },
  more: `A run that still trains, or was stopped, has a page about what there is by now.

  sortie report runs/glyphs-soft-cgt-1
  sortie report runs/glyphs-soft-cgt-1 --watch
  sortie report test.safetensors --policy policy.json --out report.html
`,
} satisfies CommandSpec;

type Values = OptionValues<typeof reportSpec.flags>;

/** Runs the command, what is watched until `stop`; returns the exit code. @throws SortieError for bad input. */
export async function runReport(
  args: readonly string[],
  print: Print = console.log,
  stop = new AbortController().signal,
): Promise<number> {
  const asked = readCommand(reportSpec, args, print);
  if (!asked) return 0;
  const { values, positionals } = asked;
  const source = firstOf(positionals);
  await chartLibraries();
  const folder = RunFolder.at(source);
  const render = () => renderReport(source, folder, values, print);
  if (values.watch) return watch(folder, { render, out: values.out, port: values.port, print, stop });
  if (values.port !== undefined) throw new SortieError("report: --port must come with --watch.");
  const out = values.out ?? folder?.path("report") ?? "report.html";
  checkOutput("report", "--out", out, [source, values.policy, folder?.path("policy"), ...(folder?.sources() ?? [])]);
  writeWhole(out, await render());
  print(`wrote ${out}`);
  return 0;
}

/** The page of logits or of a run; of one that has not come to its end, what there is by now. */
async function renderReport(source: string, folder: RunFolder | undefined, values: Values, print: Print) {
  if (folder && !folder.isFinished) return renderUnfinished(folder);
  const found = findings(source, values.policy, {
    ...logitsOptions(values),
    anyOrigin: values.anyOrigin,
    cost: values,
  });
  for (const line of unknownOrigin(found)) print(line);
  return renderPage(found, folder && (await readDetails(folder, found)));
}

interface Watching {
  readonly render: () => Promise<string>;
  readonly out: string | undefined;
  readonly port: number | undefined;
  readonly print: Print;
  readonly stop: AbortSignal;
}

/** Shows the page of a run until somebody interrupts it. */
async function watch(folder: RunFolder | undefined, { render, out, port, print, stop }: Watching): Promise<number> {
  if (!folder || out !== undefined) {
    const got = folder ? `--out ${out}` : "no folder";
    throw new SortieError(`report: --watch must look at the folder of a run, and writes nothing; got ${got}.`);
  }
  const files = [...folder.sources(), ...WATCHED.map((name) => folder.path(name))];
  const stateOf = (path: string) => {
    const found = statSync(path, { throwIfNoEntry: false });
    return found ? `${found.mtimeMs}:${found.size}` : "-";
  };
  const state = () => files.map(stateOf).join();
  const server = await serveLive({ render, state }, port).catch((cause: NodeJS.ErrnoException) => {
    throw new SortieError(`report: --port must be free; got ${port}, and ${cause.code}. Leave it out.`, { cause });
  });
  print(`${folder.dir} at http://127.0.0.1:${(server.address() as AddressInfo).port}/; Ctrl-C ends it`);
  const interrupt = interruption();
  const ended = AbortSignal.any([interrupt.signal, stop]);
  if (!ended.aborted) await once(ended, "abort");
  interrupt.stop();
  server.closeAllConnections();
  await new Promise((resolve) => server.close(resolve));
  return 0;
}

/** What the page is made of besides what training writes. */
const WATCHED = ["policy", "corruptions", "bench"] as const;
