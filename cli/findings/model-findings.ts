// What `sortie evaluate` finds of a model file: its network's own logits of the test images, its policy on them, and
// whether its classifier answers as they say.

import { SortieError } from "../../base/index.ts";
import type { Table } from "../../calibration/index.ts";
import { createDevice } from "../../engine/index.ts";
import { deploy, networkOf, readModel } from "../../exits/index.ts";
import { ofData, tableOf } from "../bench/subject.ts";
import { readPolicy } from "../files/policy-file.ts";
import { type Agreement, compareAnswers, decidedBy, deployArguments } from "./agreement.ts";
import { type Asked, type Findings, findingsOf } from "./findings.ts";

/** What is asked of a model file. */
interface ModelRequest extends Required<Asked> {
  /** Another policy than the file's own. */
  readonly policy: string | undefined;
  readonly dataDir: string | undefined;
}

/**
 * Classifies the test images that a model file says it was trained beside; `costed` puts other costs in the place of
 * MACs. @throws ModelError for what is no model, SortieError where the images are not at hand.
 */
export async function modelFindings(
  path: string,
  { policy, dataDir, ...asked }: ModelRequest,
  costed: (table: Table) => Table,
): Promise<{ readonly found: Findings; readonly deployed: Agreement }> {
  const file = await readModel(path);
  const { record } = file;
  const name = policy ?? path;
  const chosen = policy === undefined ? record.policy : readPolicy(policy);
  const images = await ofData(file, dataDir);
  if (typeof images === "string") throw new SortieError(`evaluate: the model's test images must be at hand; ${images}`);
  using device = await createDevice();
  const net = networkOf(file, device);
  const raw = costed(await tableOf(net, images));
  const names = record.exits.map(({ stage }) => stage);
  const found = findingsOf({ name: path, raw, names }, chosen && { name, file: chosen }, asked);
  using classifier = await deploy(net, ...deployArguments(found, images, { anyOrigin: asked.anyOrigin }));
  return { found, deployed: compareAnswers(decidedBy(found), await classifier.classify(images.images)) };
}
