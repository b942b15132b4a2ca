// How the stages of a model decide where no GPU is asked: `cascade.json` of an ONNX export, and what `load` hands to
// onnxruntime.

import { SortieError, zip } from "../../base/index.ts";
import type { CascadeAbout } from "../../onnx/index.ts";
import { readPolicy } from "../deploy/policy.ts";
import type { MultiExit } from "../network/multi-exit.ts";
import { decidingOf, type ModelRecord } from "./model-file.ts";

/**
 * How exits decide, in the numbers that `deploy` compares. @throws SortieError for a policy that looks at more than
 * logits; what `deploy` throws for one of another network
 * @param known Digest of the network's weights, where they need not be read for it.
 */
export async function cascadeOf(net: MultiExit, model: ModelRecord, known?: string): Promise<CascadeAbout> {
  const { architecture, classes, normalise, exits, guarantee, weights } = model;
  const { score, temperatures, levels, slack } = await readPolicy(net, decidingOf(model), { weights: known });
  if (score === "confidence") {
    throw new SortieError(
      "export: for ONNX policies must decide by logits; got one by the confidence of heads. Write a model file instead: leave --format out.",
    );
  }
  const [height, width, channels] = architecture.input;
  return {
    format: "sortie-cascade",
    version: 1,
    input: { shape: [channels, height, width], mean: normalise.mean, std: normalise.std },
    classes,
    score,
    slack,
    stages: zip(exits, temperatures).map(([{ stage, macs }, temperature], j) => ({
      file: `stage${j + 1}.onnx`,
      exit: stage,
      macs,
      temperature,
      thresholds: levels[j] ?? [],
    })),
    guarantee,
    weights,
  };
}
