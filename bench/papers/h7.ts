// H7 (ours): targets of failure prediction inside CGT's gates beat gates by confidence in the label alone, which is the
// same method without the targets' futility, and no gates; with certified thresholds on top the promise holds.

import { comparedAreas } from "./compared-areas.ts";
import { asScript, type Hypothesis } from "./hypothesis.ts";

/** The claim and its test. */
export const h7: Hypothesis = comparedAreas({
  name: "h7",
  title: "Failure prediction inside confidence gates, with certified thresholds on top",
  score: "maxProb",
  pairs: [
    {
      ...{ of: "eefp-cgt", against: "eefp-cgt-label" },
      claim: "Gates by failure prediction have more area than the same gates by the label's probability",
    },
    {
      ...{ of: "eefp-cgt", against: "eefp-cgt-control" },
      claim: "Gates by failure prediction have more area than the same loss with every gate open",
    },
  ],
  promised: "eefp-cgt",
  beside: ["certified-cgt", "soft-cgt", "hard-cgt", "plain-cgt", "joint"],
});

await asScript(import.meta.url, h7);
