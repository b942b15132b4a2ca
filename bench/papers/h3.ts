// H3 (ERDE): more entropy where the teacher errs gives a better trade-off of accuracy and cost, by entropy, than plain
// distillation from the same teacher. With the switches of what was reconstructed.

import { comparedAreas } from "./compared-areas.ts";
import { asScript, type Hypothesis } from "./hypothesis.ts";

/** The claim and its test. */
export const h3: Hypothesis = comparedAreas({
  name: "h3",
  title: "ERDE: doubt where the teacher errs improves the trade-off by entropy",
  score: "entropy",
  of: "erde",
  against: ["kd"],
  beside: ["erde-no-entropy", "erde-punish", "erde-final", "joint-mean"],
  claim: "ERDE has more area under accuracy against cost, leaving by entropy, than plain distillation",
});

await asScript(import.meta.url, h3);
