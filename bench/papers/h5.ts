// H5 (CGT): weights that are gated by sample beat static and scheduled ones. Against the same schedule with every gate
// open, and against static weights of the same sum.

import { comparedAreas } from "./compared-areas.ts";
import { asScript, type Hypothesis } from "./hypothesis.ts";

/** The claim and its test. */
export const h5: Hypothesis = comparedAreas({
  name: "h5",
  title: "CGT: gated weights beat static and scheduled weights",
  score: "maxProb",
  of: "soft-cgt",
  against: ["schedule-only", "joint-mean"],
  beside: ["hard-cgt", "plain-cgt", "joint", "joint-sum"],
  claim: "Soft gates have more area under accuracy against cost than their controls",
});

await asScript(import.meta.url, h5);
