// Sections about the policy: where samples leave, accuracy against cost, risk against target.

import { lastOf, zip } from "../../../base/index.ts";
import { baselines, scoreName, sweepThresholds, thresholdCurve } from "../../../calibration/index.ts";
import { level, percent, percentRange, threshold } from "../../format.ts";
import { accuracyCurve, exitShares } from "../figures/policy.ts";
import { costAgainstTarget, riskAgainstTarget } from "../figures/targets.ts";
import { escapeHtml, figure, figures, row, section, table } from "../html.ts";
import { drawPlot } from "../plots.ts";
import type { TargetSweep } from "../targets.ts";
import { type Content, unitOf, whyAllStay } from "./content.ts";

/** Where images leave, and how often they are answered wrongly there. */
export async function exitSection(content: Content): Promise<string> {
  const { found, run } = content;
  const { names, metrics, policy, file, scored } = found;
  const title = "Where images leave";
  const about = zip(names, metrics.exits, scored.costs).map(([name, { accuracy }, cost], j) => {
    const count = scored.costUnit ? undefined : run?.record.exits[j]?.macs;
    return [name, count === undefined ? percent(cost) : `${(count / 1e6).toFixed(2)} M`, percent(accuracy)];
  });
  const head = ["exit", unitOf(content), "accuracy on all"];
  if (!policy || !file?.result.ok) {
    const last = escapeHtml(lastOf(names));
    return section(title, `${whyAllStay(found)} Every image runs to the end, ${last}.`, table(head, about));
  }
  const { thresholds, score } = file.result;
  const exits = zip(about, policy.fractions, policy.exitRisk, policy.intervals.exitRisk);
  const rows = exits.map(([exit, share, risk, range], j) => {
    const at = j < names.length - 1 ? thresholdAt(thresholds, j, names.length) : "";
    return [...exit, at, percent(share), percent(risk), share > 0 ? percentRange(range) : ""];
  });
  const plot = await drawPlot(exitShares(names, policy.fractions, policy.exitRisk), "shares of images per exit");
  return section(
    title,
    `An image leaves at the first exit whose confidence (${scoreName(score)}) reaches the threshold; what no exit takes runs
to the end, where the hardest images are answered: no promise is about the last exit.`,
    row(figure(plot), table([...head, "threshold", "leave here", "wrong among them", "95 % interval"], rows)),
  );
}

function thresholdAt(thresholds: Float64Array, exit: number, nExits: number): string {
  return thresholds.length === nExits - 1 ? threshold(thresholds[exit]!) : "by class";
}

/** What thresholds on the policy's score could reach, beside other ways to spend as much. */
export async function accuracySection(content: Content): Promise<string> {
  const { names, scored, policy } = content.found;
  const unit = unitOf(content);
  const { oracle, fixed } = baselines(scored);
  const sweep = thresholdCurve(scored, sweepThresholds(scored, 60));
  const plot = await drawPlot(accuracyCurve({ names, unit, sweep, fixed, oracle, policy }), `accuracy against ${unit}`);
  return section(
    `Accuracy against ${unit}`,
    `Solid: one threshold on the confidence (${scoreName(scored.score)}) for all exits, swept. Dashed: every image takes the
same exit, and between them exits drawn at random. Diamond: the oracle, which knows the first exit that is
right.${policy ? " Square: the policy." : ""}`,
    figure(plot),
  );
}

/** The policy's rule at other targets. Of runs only: other logits come without calibration samples. */
export async function targetSection({ run }: Content): Promise<string> {
  if (!run) return "";
  const { targets: sweep } = run;
  const title = "Risk against target";
  if (typeof sweep === "string") return section(title, escapeHtml(sweep));
  const plots = [
    await drawPlot(riskAgainstTarget(sweep), "observed risk against target risk"),
    await drawPlot(costAgainstTarget(sweep), "cost against target risk"),
  ];
  return section(
    title,
    `This run calibrated for other targets by the policy's method, ${escapeHtml(sweep.method)}. The promise, which holds
${sweep.holds}: ${escapeHtml(sweep.risk.meaning)} is at most the target. So a point may lie in the shaded half now and then,
and by the chance of the test images, which is greater where they fall into many groups. The
dotted line is the policy's target.${refusals(sweep)}`,
    figures(plots),
  );
}

/** Where nothing could be certified, in a sentence; nothing to say if that is nowhere. */
function refusals({ points }: TargetSweep): string {
  const refused = points.filter(({ ok }) => !ok).map(({ target }) => target);
  if (refused.length === 0) return "";
  const isAllBelow = points.findIndex(({ ok }) => ok) === refused.length;
  const all = refused.length === points.length;
  const some = isAllBelow ? `${level(Math.max(...refused))} or less` : refused.map(level).join(", ");
  const where = all ? "any of these targets" : some;
  return ` Nothing could be certified at ${where}: there all images run to the end.`;
}
