// The network of a model file.

import type { Device } from "../../engine/functions.ts";
import { CheckpointError, ModelError } from "../errors.ts";
import { buildNetwork, loadNetwork } from "../network/architecture.ts";
import type { MultiExit } from "../network/multi-exit.ts";
import { writeAll } from "../run/checkpoint.ts";
import type { ModelFile } from "./model-file.ts";

/**
 * The network of a model file that was read, with its weights; for those who want more of it than `load` gives.
 * @throws ModelError where this version makes another of the record.
 */
export const networkOf = (file: ModelFile, device: Device): MultiExit =>
  filled(file, buildNetwork(file.record.architecture, { device }));

/** The same, for which the backbone is loaded alone. */
export const loadNetworkOf = async (file: ModelFile, device: Device): Promise<MultiExit> =>
  filled(file, await loadNetwork(file.record.architecture, { device }));

/** The network with the file's weights. */
function filled({ record, tensors }: ModelFile, net: MultiExit): MultiExit {
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
