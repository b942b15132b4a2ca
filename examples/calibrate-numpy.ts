// Thresholds with a promise for the logits of any network, saved by `np.save`: logits.npy [samples, exits, classes] and
// labels.npy [samples]. Needs no GPU. `npm i sortie`, then `npx tsx calibrate-numpy.ts FOLDER`; without a folder it
// writes such files first.

import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createRandom, createTable, evaluatePolicy, explain, learnThenTest, type Table } from "sortie/calibration";
import { decodeNpy, encodeNpy } from "sortie/data";

const given = process.argv[2];
const folder = given ?? (await mkdtemp(join(tmpdir(), "sortie-")));
if (given === undefined) await writeAnswers(folder);

const read = async (name: string) => decodeNpy(await readFile(join(folder, name)), name);
const logits = await read("logits.npy");
const labels = await read("labels.npy");
const [samples = 0, exits = 0, classes = 0] = logits.shape;
console.log(`${samples} samples, ${exits} exits, ${classes} classes`);

/** Some of the samples; each has an id, so that testing on what calibrated is refused. */
function part(first: number, count: number): Table {
  const width = exits * classes;
  return createTable({
    logits: Float32Array.from(logits.data.subarray(first * width, (first + count) * width), Number),
    labels: Int32Array.from(labels.data.subarray(first, first + count), Number),
    shape: [count, exits, classes],
    ids: Array.from({ length: count }, (_, i) => first + i),
  });
}

const third = Math.floor(samples / 3);
const policy = learnThenTest(part(third, third), { alpha: 0.05, delta: 0.1, validation: part(0, third) });
console.log(explain(policy));
if (policy.ok) {
  const { cost, fractions, earlyRisk } = evaluatePolicy(part(2 * third, third), policy);
  const percent = (share: number) => `${(100 * share).toFixed(1)} %`;
  console.log(
    `new samples: ${percent(1 - fractions.at(-1)!)} leave early, ${percent(earlyRisk)} of them wrongly, at ${percent(cost)} of the cost`,
  );
}
if (given === undefined) await rm(folder, { recursive: true });

/** Made-up answers of a network with three exits, each surer than the one in front of it. */
async function writeAnswers(folder: string): Promise<void> {
  const [samples, exits, classes] = [6000, 3, 10];
  const random = createRandom(1);
  const labels = Int32Array.from({ length: samples }, () => random.below(classes));
  const logits = Float32Array.from({ length: samples * exits * classes }, () => random.normal());
  for (const [i, label] of labels.entries()) {
    const ease = 4 + 2 * random.normal();
    for (let exit = 0; exit < exits; exit++) logits[(i * exits + exit) * classes + label]! += ease + exit;
  }
  await writeFile(join(folder, "logits.npy"), encodeNpy({ shape: [samples, exits, classes], data: logits }));
  await writeFile(join(folder, "labels.npy"), encodeNpy({ shape: [samples], data: labels }));
}
