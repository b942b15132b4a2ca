// From a model file to a classifier that answers, in one call: `deploy` of what the file says.

import type { Kinds } from "../../base/index.ts";
import { createDevice, type Device, defaultDevice, readOptions } from "../../engine/functions.ts";
import type { Classifier } from "../deploy/classifier.ts";
import { DEPLOY, type DeployOptions, deploy } from "../deploy/deploy.ts";
import { CheckpointError, ModelError } from "../errors.ts";
import { buildNetwork } from "../network/architecture.ts";
import type { MultiExit } from "../network/multi-exit.ts";
import { writeAll } from "../run/checkpoint.ts";
import type { ModelFile, ModelRecord } from "./model-file.ts";
import { type ModelSource, type ReadModelOptions, readModel } from "./source.ts";

/** Options of `load`: those of `deploy` that a file does not settle, too. */
export interface LoadOptions extends ReadModelOptions, Omit<DeployOptions, "normalise" | "scaling" | "anyOrigin"> {
  /** Default: the default device; without any, one of `load`'s own, which goes with the last classifier on it. */
  readonly device?: Device;
}

/** What `deploy` gives, and what its file says. `dispose()` frees the network too. */
export type LoadedClassifier = Classifier & { readonly model: ModelRecord };

const { normalise: _, scaling: __, anyOrigin: ___, ...FREE } = DEPLOY;
const LOAD: Kinds<LoadOptions> = { onProgress: "function", cache: "any", device: "any", ...FREE };

/**
 * The classifier of a model file: `const classifier = await load("model.sortie.safetensors")`, in Node and in a page.
 * Every byte of the file is checked, and the policy against the weights, before the first answer.
 * @throws ModelError if the file is not a model, is damaged or newer, or did not arrive; DeviceError without an
 * adapter; what `deploy` throws.
 */
export async function load(source: ModelSource, options: LoadOptions = {}): Promise<LoadedClassifier> {
  const { onProgress, cache, device, ...own } = readOptions("load", options, LOAD);
  const file = await readModel(source, { ...(onProgress && { onProgress }), ...(cache !== undefined && { cache }) });
  const place = await placeOn(device);
  let net: MultiExit | undefined;
  try {
    net = networkOf(file, place.device);
    const { record } = file;
    const policy = record.policy?.result.ok ? record.policy : { thresholds: [Number.POSITIVE_INFINITY] };
    const classifier = await deploy(net, policy, { ...own, normalise: record.normalise });
    return owning(classifier, record, net, place);
  } catch (error) {
    net?.dispose();
    place.release();
    throw error;
  }
}

/**
 * The network of a model file that was read, with its weights; for those who want more of it than `load` gives.
 * @throws ModelError where this version makes another of the record.
 */
export function networkOf({ record, tensors }: ModelFile, device: Device): MultiExit {
  const net = buildNetwork(record.architecture, { device });
  try {
    writeAll("the file", net.state(), tensors);
    const [wanted, macs] = [record.exits.map((exit) => exit.macs), net.macs()];
    if (macs.some((count, j) => count !== wanted[j])) {
      const got = `${macs.join(", ")} for ${wanted.join(", ")}`;
      throw new ModelError(`load: exits must cost the MACs that the file says; got ${got}. It is of another sortie.`);
    }
    return net;
  } catch (cause) {
    net.dispose();
    if (!(cause instanceof CheckpointError)) throw cause;
    throw new ModelError(cause.message.replace(/^checkpoint/, "load"), { cause });
  }
}

function owning(classifier: Classifier, model: ModelRecord, net: MultiExit, place: Place): LoadedClassifier {
  const end = classifier.dispose.bind(classifier);
  let isOver = false;
  const dispose = (): void => {
    end();
    if (isOver) return;
    isOver = true;
    net.dispose();
    place.release();
  };
  return Object.assign(classifier, { model, dispose });
}

/** A device for as long as a classifier needs it. */
interface Place {
  readonly device: Device;
  release(): void;
}

/** Devices that `load` made, and how many classifiers are on each. */
const own = new Map<Device, number>();

async function placeOn(given: Device | undefined): Promise<Place> {
  if (given) return { device: given, release() {} };
  const found = existing();
  if (found && !own.has(found)) return { device: found, release() {} };
  const device = found ?? (await createDevice());
  own.set(device, (own.get(device) ?? 0) + 1);
  return {
    device,
    release() {
      const left = (own.get(device) ?? 0) - 1;
      if (left > 0) own.set(device, left);
      else if (own.delete(device)) device.dispose();
    },
  };
}

/** The default device, if there is one that lives. */
function existing(): Device | undefined {
  try {
    const device = defaultDevice();
    return device.isLost ? undefined : device;
  } catch {
    return undefined;
  }
}
