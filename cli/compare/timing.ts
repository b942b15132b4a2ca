// What a run's classifier takes on this machine: images of the test set through the whole network, and through the
// cascade. What is timed is compared with the cached logits first.

import { existsSync } from "node:fs";
import { firstOf, json, median, messageOf, SortieError } from "../../base/index.ts";
import { selectFromCascade, selectSamples } from "../../calibration/index.ts";
import { subset } from "../../data/index.ts";
import { adapterName, deploy } from "../../exits/index.ts";
import type { RunFolder } from "../files/run-folder.ts";
import { changedSince, STAMP, type Stamp, stampOf } from "../files/stamp.ts";
import { readJson, toJson } from "../files/whole.ts";
import {
  agreementLine,
  compareAnswers,
  decidedBy,
  deployArguments,
  type Found,
  withNetwork,
} from "../findings/agreement.ts";

/** Milliseconds an image, medians of warm rounds that took turns. */
export interface Timing {
  readonly adapter: string;
  readonly batch: number;
  /** How many were classified in a round. */
  readonly images: number;
  /** Through every stage. */
  readonly whole: number;
  readonly cascade: number;
  /** Of which weights and policy it is; undefined in files of earlier versions. */
  readonly stamp?: Stamp | undefined;
}

/** How the parts of a timing are read. */
export const TIMING = {
  adapter: json.text,
  batch: json.count,
  images: json.count,
  whole: json.finite,
  cascade: json.finite,
  stamp: json.optional(json.record(STAMP)),
} as const satisfies Readonly<Record<keyof Timing, json.Reader<unknown>>>;

/**
 * What was timed before of these weights and this policy, if it was. @throws Error that names the file where it is none
 * of ours.
 */
export function readTiming(folder: RunFolder, now: Stamp): Timing | undefined {
  const path = folder.path("timing");
  if (!existsSync(path)) return undefined;
  try {
    const found = json.parts(readJson(path), "timing", TIMING);
    return found.stamp && !changedSince(found.stamp, now) ? found : undefined;
  } catch (cause) {
    throw new SortieError(`${path}: ${messageOf(cause)} Remove it, and it is timed again.`, { cause });
  }
}

const IMAGES = 1024;
const BATCH = 64;
const ROUNDS = 5;

/** Times a finished run and keeps the result in its folder; or says why that cannot be done here. */
export function timeRun(folder: RunFolder, found: Found): Promise<Timing | string> {
  return withNetwork(folder, found.source, async (net, images) => {
    const count = Math.min(IMAGES, images.size);
    // Sets may be sorted by class.
    const rows = Array.from({ length: count }, (_, i) => Math.floor((i * images.size) / count));
    const chosen = subset(images, Int32Array.from(rows)).images;
    // In memory, wherever they lie: the disk is not timed.
    const some = chosen.subarray(0, chosen.length);
    const [policy, options] = deployArguments(found, images, { anyOrigin: false });
    using cascade = await deploy(net, policy, { ...options, batch: BATCH });
    using whole = await deploy(net, { thresholds: [Number.POSITIVE_INFINITY] }, { ...options, batch: BATCH });

    const all = decidedBy(found);
    const decided = {
      ...all,
      scored: selectFromCascade(all.scored, rows),
      raw: selectSamples(all.raw, rows),
      exits: Int32Array.from(rows, (row) => all.exits[row]!),
    };
    const agreement = compareAnswers(decided, await cascade.classify(some));
    if (agreement.differing > 0) return agreementLine(agreement);

    const time = async (classifier: typeof cascade) => {
      const start = performance.now();
      await classifier.classify(some);
      return (performance.now() - start) / count;
    };
    const [ofWhole, ofCascade]: [number[], number[]] = [[], []];
    await time(whole);
    for (let round = 0; round < ROUNDS; round++) {
      ofWhole.push(await time(whole));
      ofCascade.push(await time(cascade));
    }
    const timing: Timing = {
      adapter: adapterName(firstOf(net.parameters()).device.info),
      batch: BATCH,
      images: count,
      whole: median(ofWhole),
      cascade: median(ofCascade),
      stamp: stampOf(found.raw, found.file),
    };
    folder.write("timing", toJson(timing));
    return timing;
  });
}
