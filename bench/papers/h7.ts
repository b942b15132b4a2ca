// H7 (ours): targets of failure prediction inside CGT's gates, and gates that are certified while training, beat gates
// by confidence; with certified thresholds on top.

import { comparedAreas } from "./compared-areas.ts";
import { asScript, type Hypothesis } from "./hypothesis.ts";

/** The claim and its test. */
export const h7: Hypothesis = comparedAreas({
  name: "h7",
  title: "Failure prediction inside confidence gates, with certified thresholds on top",
  score: "maxProb",
  of: "eefp-cgt",
  against: ["soft-cgt", "eefp-cgt-control"],
  beside: ["certified-cgt", "hard-cgt", "plain-cgt", "joint"],
  claim: "Gates by failure prediction have more area than gates by confidence and than no gates",
});

await asScript(import.meta.url, h7);
