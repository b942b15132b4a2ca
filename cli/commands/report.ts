// `sortie report`: one HTML page to look at; see `page.ts` for what is on it.

import { RunFolder } from "../files/run-folder.ts";
import { writeWhole } from "../files/whole.ts";
import { renderPage } from "../report/page.ts";
import { chartLibraries } from "../report/plots.ts";
import { readDetails } from "../report/run-details.ts";
import { onePath, type Print, readFlags, unpackFlag } from "../settings/flags.ts";
import { findings, unknownOrigin } from "./evaluate.ts";

export const reportHelp = `sortie report LOGITS | RUN [flags]

One self-contained HTML page about test logits and a policy: what is promised, by which method and under which
assumption; where images leave; accuracy against cost; reliability; metrics of every exit. For the folder of a run also:
learning curves, risk against target, example images, difficulty where it is known, settings and versions.

  --policy FILE        a policy of sortie calibrate (for a run: its own)
  --any-origin         take a policy of other weights, or of another scaling; its promise does not hold then
  --probabilities      the arrays hold probabilities; --any-values: logits, even where they look like probabilities
  --max-unpacked B     bytes that a compressed array may unpack to (default: 1,000 times the file, from 64 MiB to 4 GiB)
  --out FILE           default report.html (for a run: in its folder)

  sortie report runs/glyphs-soft-cgt-1
  sortie report test.safetensors --policy policy.json --out report.html
`;

/** Runs the command; returns the exit code. @throws SortieError for bad input. */
export async function runReport(args: readonly string[], print: Print = console.log): Promise<number> {
  const { values, positionals } = readFlags("report", {
    args: [...args],
    allowPositionals: true,
    options: {
      policy: { type: "string" },
      "any-origin": { type: "boolean", default: false },
      probabilities: { type: "boolean", default: false },
      "any-values": { type: "boolean", default: false },
      "max-unpacked": { type: "string" },
      out: { type: "string" },
      help: { type: "boolean", default: false },
    },
  });
  if (values.help) {
    print(reportHelp);
    return 0;
  }
  const path = onePath("report", positionals);
  await chartLibraries();
  const folder = RunFolder.at(path);
  const found = findings(path, values.policy, {
    isProbabilities: values.probabilities,
    anyValues: values["any-values"],
    anyOrigin: values["any-origin"],
    ...unpackFlag("report", values),
  });
  for (const line of unknownOrigin(found)) print(line);
  const page = await renderPage(found, folder && (await readDetails(folder, found)));
  const out = values.out ?? folder?.path("report") ?? "report.html";
  writeWhole(out, page);
  print(`wrote ${out}`);
  return 0;
}
