// H3 (ERDE): more entropy where the teacher errs gives a better trade-off of accuracy and cost, by entropy, than plain
// distillation from the same teacher. ERDE also leaves out what a wrong teacher says; against the same without the
// entropy that alone is tested. Beside them the switches of what was reconstructed.

import { comparedAreas } from "./compared-areas.ts";
import { asScript, type Hypothesis } from "./hypothesis.ts";

/** The claim and its test. */
export const h3: Hypothesis = comparedAreas({
  name: "h3",
  title: "ERDE: doubt where the teacher errs improves the trade-off by entropy",
  score: "entropy",
  pairs: [
    {
      ...{ of: "erde", against: "erde-no-entropy" },
      claim: "More entropy where the teacher errs gives more area, leaving by entropy, than the same without it",
    },
    { of: "erde", against: "kd", claim: "ERDE has more area, leaving by entropy, than plain distillation" },
    {
      ...{ of: "erde-no-entropy", against: "kd" },
      claim: "Leaving out what a wrong teacher says gives more area, leaving by entropy, than plain distillation",
    },
  ],
  beside: ["erde-punish", "erde-final", "joint-mean"],
});

await asScript(import.meta.url, h3);
