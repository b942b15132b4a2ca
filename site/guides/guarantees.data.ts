// The pictures and numbers of the guide, computed when the site is built.

import { countAbove, drawBounds, drawConfidence, drawRepeats } from "../figures/draw.ts";
import { computeGuarantees } from "../figures/guarantees.ts";

export default {
  load: () => {
    const found = computeGuarantees();
    return {
      ...{ confidence: drawConfidence(found), repeats: drawRepeats(found), bounds: drawBounds(found) },
      naive: countAbove(found.repeats, "naive", found.alpha),
      certified: countAbove(found.repeats, "certified", found.alpha),
      count: found.repeats.length,
      images: found.calibrationImages,
      needed: found.neededImages,
      surest: (100 * found.byConfidence[found.byConfidence.length - 1]!.error).toFixed(1),
    };
  },
};
