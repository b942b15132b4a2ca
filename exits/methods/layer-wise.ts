// Layer-wise training: an exit and the stages in front of it at a time, from shallow to deep, all before them as they
// are.

import { exactly } from "../../base/index.ts";
import { mean, slice } from "../../engine/functions.ts";
import { exitCrossEntropy, labelSmoothing } from "./losses.ts";
import { defineMethod, type Method, type Phase } from "./method.ts";
import { equalTotal, shared } from "./parts.ts";

const OPTIONS = { equalTotal, labelSmoothing: labelSmoothing(0) } as const;

/** CE_1 by the first exit and its stages, then CE_2 by the second and those behind the first, and so on. */
export const layerWise: Method<typeof OPTIONS> = defineMethod({
  name: "layer-wise",
  about: "an exit and the stages in front of it at a time, those before them as they are",
  paper: { title: "Greedy Layerwise Learning Can Scale to ImageNet", venue: "ICML 2019", arxiv: "1812.11446" },
  options: OPTIONS,
  isPlain: true,
  phases: ({ equalTotal: isEqual, labelSmoothing: smoothing }, { exits, placeOf }) =>
    shared(
      isEqual,
      Array.from(
        { length: exits },
        (_, exit): Phase => ({
          name: `exit ${exit + 1}`,
          tracks: [
            {
              trains: (name) => placeOf(name).exit === exit,
              loss: ({ logits, labels, mixed }) => {
                const [n, , classes] = exactly(logits.shape, 3);
                const own = slice(logits, { starts: [0, exit, 0], ends: [n, exit + 1, classes] });
                return mean(exitCrossEntropy({ logits: own, labels, mixed }, smoothing));
              },
            },
          ],
        }),
      ),
    ),
});
