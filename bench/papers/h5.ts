// H5 (CGT): weights that are gated by sample beat static and scheduled ones. Each form against the same with every gate
// open: the public code's against its schedule alone, the paper's own against static weights; and the public code's
// whole recipe, which smooths labels and leaks besides, against static weights of the same sum.

import { comparedAreas } from "./compared-areas.ts";
import { asScript, type Hypothesis } from "./hypothesis.ts";

/** The claim and its test. */
export const h5: Hypothesis = comparedAreas({
  name: "h5",
  title: "CGT: gated weights beat static and scheduled weights",
  score: "maxProb",
  pairs: [
    {
      ...{ of: "soft-cgt", against: "schedule-only" },
      claim: "The public code's soft gates have more area than its schedule with every gate open",
    },
    {
      ...{ of: "plain-cgt", against: "joint-sum" },
      claim: "The paper's plain gates have more area than the same weights with every gate open",
    },
    {
      ...{ of: "soft-cgt", against: "joint-mean" },
      claim: "The public code's recipe has more area than static weights of the same sum",
    },
  ],
  beside: ["hard-cgt", "joint"],
});

await asScript(import.meta.url, h5);
