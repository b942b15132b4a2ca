// `npm run smoke:methods`: trains every method of the list from its first step to its last on the embedded data, and
// shows what its exits answer. Fails if an exit of one is no better than guessing, or one takes longer than a minute.
// Usage: npm run smoke:methods -- [NAME ...] [--epochs N] [--seed N]

import { parseArgs } from "node:util";
import { nearest } from "../../base/index.ts";
import { glyphs } from "../../data/index.ts";
import { createDevice } from "../../engine/index.ts";
import {
  buildNetwork,
  joint,
  METHODS,
  type Method,
  type MultiExit,
  type TrainingPlan,
  train,
} from "../../exits/index.ts";
import { trialOf } from "./plan.ts";
import { verdictOf } from "./verdict.ts";

/** Seconds that a method may take, its teacher's training not counted. */
const MOST = 60;
const TEST = 2000;
const CLASSES = 10;

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { epochs: { type: "string", default: "2" }, seed: { type: "string", default: "0" } },
});
const seed = Number(values.seed);
const data = glyphs({ train: 1024, validation: 256, calibration: 256, test: TEST, seed: 1 });
const recipe = { epochs: Number(values.epochs), batch: 32, seed, report: () => {} } as const;

function networkOf({ wraps }: Pick<TrainingPlan, "wraps">, widths: readonly number[], depth = 8): MultiExit {
  const shape = { input: data.train.shape, classes: CLASSES, exits: ["stage1", "stage2"] };
  return buildNetwork(
    { backbone: "resnet", options: { depth, widths }, ...shape, wraps: wraps.map(({ name }) => name) },
    { seed },
  );
}

/** The larger network that a method wants, trained. */
async function teacherOf({ teacher }: TrainingPlan): Promise<MultiExit | undefined> {
  if (teacher?.kind !== "network") return undefined;
  const { method, wider, deeper } = teacher;
  const net = networkOf(
    { wraps: [] },
    [8, 16, 24].map((width) => width * wider),
    6 * deeper + 2,
  );
  (await train(net, data, { ...recipe, method: METHODS[method] ?? joint })).dispose();
  return net;
}

/** Accuracy of each exit on the test images. */
function accuraciesOf({ logits, labels }: { readonly logits: Float32Array; readonly labels: Int32Array }): number[] {
  const exits = logits.length / labels.length / CLASSES;
  return Array.from({ length: exits }, (_, j) => {
    const right = labels.reduce((sum, label, i) => {
      const row = logits.subarray((i * exits + j) * CLASSES, (i * exits + j + 1) * CLASSES);
      return sum + Number(row.indexOf(Math.max(...row)) === label);
    }, 0);
    return right / labels.length;
  });
}

/** Trains a method; whether all was well. */
async function tryOut(method: Method): Promise<boolean> {
  const plan = trialOf(method);
  const teacher = await teacherOf(plan);
  const net = networkOf(plan, [8, 16, 24]);
  const began = performance.now();
  using run = await train(net, data, { ...recipe, method: plan, ...(teacher && { teacher }) });
  const accuracies = accuraciesOf(await run.cachedLogits("test"));
  const seconds = (performance.now() - began) / 1000;
  for (const made of [net, teacher]) made?.dispose();
  const verdict = verdictOf(accuracies, TEST, CLASSES);
  const slow = seconds > MOST ? `, took longer than ${MOST} s` : "";
  const exits = accuracies.map((accuracy) => (100 * accuracy).toFixed(1).padStart(6)).join(" ");
  console.log(`${plan.name.padEnd(22)} ${exits}   ${seconds.toFixed(1).padStart(5)} s   ${verdict}${slow}`);
  return verdict === "ok" && slow === "";
}

await createDevice();
const asked = positionals.length > 0 ? positionals : Object.keys(METHODS);
const stranger = asked.find((name) => !Object.hasOwn(METHODS, name));
if (stranger !== undefined) {
  const meant = nearest(stranger, Object.keys(METHODS));
  console.error(`smoke:methods: no method is called ${stranger}.${meant ? ` Did you mean ${meant}?` : ""}`);
  process.exit(2);
}
console.log(`${"method".padEnd(22)} accuracy of the exits in %, ${TEST} test images`);
let faults = 0;
for (const name of asked) if (!(await tryOut(METHODS[name]!))) faults += 1;
console.log(faults === 0 ? `${asked.length} methods: all exits learn` : `${faults} of ${asked.length} methods fail`);
process.exit(faults === 0 ? 0 : 1);
