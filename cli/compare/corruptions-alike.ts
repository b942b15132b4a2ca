// What was found of corrupted images, as far as runs can be held against each other by it.

import { amongCorruptions, areAlike } from "../findings/corruptions.ts";
import type { RunFigures } from "./figures.ts";

/**
 * The same runs, with what was found of them under the corruptions that all of them have in common; without findings
 * where those are of other images than of the reference, or, where that has none, of the first of their data and
 * backbone.
 */
export function withAlikeCorruptions(runs: readonly RunFigures[], against: string): readonly RunFigures[] {
  const alike = runs.map(({ data, backbone, corruptions }) => {
    const group = runs.filter((run) => run.data === data && run.backbone === backbone && run.corruptions);
    const wanted = (group.find(({ method }) => method === against) ?? group[0])?.corruptions;
    return corruptions && wanted && areAlike(corruptions, wanted) ? corruptions : undefined;
  });
  const names = alike.flatMap((found) => (found ? [new Set(found.rows.map(({ name }) => name))] : []));
  const common = new Set([...(names[0] ?? [])].filter((name) => names.every((each) => each.has(name))));
  return runs.map((run, i) => {
    const found = alike[i];
    return { ...run, corruptions: found && common.size > 0 ? amongCorruptions(found, common) : undefined };
  });
}
