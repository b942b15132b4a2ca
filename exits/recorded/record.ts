// Records what a model file's classifier does, for pages that load neither the engine nor the network: every launch of
// its route through the exits, the texts of its kernels, the weights as they are prepared, all in one file.

import { firstOf, type Kinds } from "../../base/index.ts";
import { FIT } from "../../data/fit.ts";
import {
  type Capture,
  capture,
  createPortableDevice,
  type Device,
  describeCaptures,
  noGrad,
  normaliseImages,
  packedWords,
  readOptions,
  type Tensor,
} from "../../engine/functions.ts";
import { makeSite } from "../deploy/classifier.ts";
import { CLASSIFY_BATCH, checkBatch } from "../deploy/deploy.ts";
import { readPolicy } from "../deploy/policy.ts";
import { Route, type Site } from "../deploy/route.ts";
import { decidingOf, type ModelFile, type ModelRecord, readModel } from "../file/model-file.ts";
import { loadNetworkOf } from "../file/network.ts";
import type { ModelSource } from "../file/source.ts";
import { complete } from "../options.ts";
import { encodeSealed } from "../run/seal.ts";
import { FORMAT, MODEL, nameOf, type RecordedModel, sizesOf, VERSION } from "./form.ts";

/** Options of `recordModel`. */
export interface RecordOptions {
  /** Images that run together; default 64. */
  readonly batch?: number;
  /** What it is recorded on; default: a portable device, so that it runs on any adapter. */
  readonly device?: Device;
}

const OPTIONS: Kinds<RecordOptions> = { batch: CLASSIFY_BATCH, device: "any" };

/**
 * The bytes of a recorded model, for `loadRecorded`: the classifier of a model file as the GPU runs it. A page that
 * loads it needs a fraction of the code, and nothing is traced there. Undecided rows are compacted at each exit; there
 * is nothing to choose on the reader's adapter.
 * @throws ModelError for another file; what `deploy` throws
 *
 * @example
 * ```ts
 * import { buildNetwork, encodeModel, loadRecorded, recordModel } from "sortie/exits";
 *
 * const architecture = { backbone: "resnet", options: { depth: 8, widths: [4, 4, 8] }, exits: ["stage1"] };
 * const net = buildNetwork({ ...architecture, input: [8, 8, 1], classes: 2 });
 * const file = await encodeModel(net, { classes: ["cat", "dog"], normalise: { mean: [0.5], std: [0.25] } });
 * const classifier = await loadRecorded(await recordModel(file, { batch: 16 }));
 * console.log((await classifier.classify(new Uint8Array(3 * 8 * 8))).classes.length); // 3
 * classifier.dispose();
 * ```
 */
export async function recordModel(source: ModelSource, options: RecordOptions = {}): Promise<Uint8Array<ArrayBuffer>> {
  const { batch = CLASSIFY_BATCH.default, device: given } = readOptions("recordModel", options, OPTIONS);
  checkBatch("recordModel", batch);
  const file = await readModel(source);
  const device = given ?? (await createPortableDevice());
  const owned: { dispose(): void }[] = given ? [] : [device];
  try {
    const net = await loadNetworkOf(file, device);
    owned.push(net);
    const { record } = file;
    const { isOriginChecked, ...decisions } = await readPolicy(net, decidingOf(record), { weights: record.weights });
    const sites: Site[] = [];
    for (const size of sizesOf(batch))
      sites.push(
        await makeSite(net, { ...decisions, precision: "f32", batch: size, isApart: false }, owned, sites[0]?.net),
      );
    const parts: Recorded[] = [];
    for (const site of sites) parts.push(await recordSite(site, record, owned));
    sites[0]?.net.refresh();
    const { tensors, metadata } = await describeCaptures(Object.assign({}, ...parts.map(({ captures }) => captures)), {
      tensors: Object.assign({}, ...parts.map(({ tensors }) => tensors)),
    });
    const model = JSON.stringify(aboutOf(file, batch, isOriginChecked));
    return encodeSealed([...tensors], { ...metadata, format: FORMAT, version: String(VERSION), [MODEL]: model });
  } finally {
    for (const one of owned.reverse()) one.dispose();
  }
}

function aboutOf({ record }: ModelFile, batch: number, isOriginChecked: boolean): RecordedModel {
  const { architecture, classes, normalise, exits, guarantee, weights } = record;
  const fit = complete("recordModel: fit", FIT, record.fit ?? {});
  return { input: architecture.input, batch, classes, normalise, fit, exits, guarantee, weights, isOriginChecked };
}

/** What runs batches of one size, by the names of the file. */
interface Recorded {
  readonly captures: Readonly<Record<string, Capture<object, object, unknown>>>;
  readonly tensors: Readonly<Record<string, Tensor>>;
}

async function recordSite(
  site: Site,
  { normalise: { mean, std } }: ModelRecord,
  owned: { dispose(): void }[],
): Promise<Recorded> {
  const { batch, device, images, count, results } = site;
  const own = <T extends { dispose(): void }>(made: T): T => {
    owned.push(made);
    return made;
  };
  const route = own(
    await Route.record(
      site,
      site.open.slice(1).map(() => "compact"),
    ),
  );
  const { shape } = images;
  const inputs = { bytes: { shape: [packedWords(shape)], dtype: "u32" } } as const;
  const unpack = own(
    await capture({ label: "bytes", device, inputs, state: [images] }, ({ bytes }) =>
      noGrad(() => {
        normaliseImages(bytes, { mean, std, shape, into: images });
        return {};
      }),
    ),
  );
  const { answers: classes, exits, scores } = results;
  const named = { images, count, classes, exits, scores } as const;
  return {
    captures: { [nameOf(batch, "bytes")]: unpack, [nameOf(batch, "route")]: firstOf(route.captures) },
    tensors: Object.fromEntries(
      Object.entries(named).map(([name, tensor]) => [nameOf(batch, name as keyof typeof named), tensor]),
    ),
  };
}
