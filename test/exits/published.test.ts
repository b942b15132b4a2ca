// Rules that papers decide by, from training to the device: thresholds by class from margins of precision, and one
// threshold on what heads say of themselves, written and read as files; the device decides as the table does.

import {
  cascade,
  createTable,
  decide,
  decodePolicy,
  encodePolicy,
  fixedThreshold,
  precisionMargins,
} from "../../calibration/index.ts";
import { buildNetwork, calexnet, deploy, jeiDnn, type Method, ptee, type Run, train } from "../../exits/index.ts";
import { gpuSuite } from "../gpu.ts";
import { assert, failsWith } from "../harness.ts";
import { barSplits, quiet } from "./small.ts";

const test = gpuSuite("exits: published rules");
const data = barSplits();

async function checkDevice(method: Method, choose: (run: Run) => Promise<ReturnType<typeof fixedThreshold>>) {
  const plan = method.with({
    ...("lr" in method.options && { lr: 0.05 }),
    ...("warmup" in method.options && { warmup: 2 }),
  });
  using net = buildNetwork({
    backbone: "resnet",
    options: { depth: 8, widths: [4, 8, 8] },
    input: [8, 8, 1],
    classes: 4,
    exits: ["stage1", "stage2"],
    wraps: plan.wraps.map(({ name }) => name),
  });
  using run = await train(net, data, { ...quiet, epochs: 4, optimizer: { lr: 0.05 }, method: plan });
  const file = encodePolicy({ result: await choose(run) });
  const { result } = decodePolicy(file);
  assert.equal(JSON.parse(encodePolicy({ result })), JSON.parse(file));
  assert.ok(result.ok && !("alpha" in result));
  const classifier = await deploy(net, decodePolicy(file), { normalise: data.test.meta });
  const { exits } = await classifier.classify(data.test.images);
  const table = await run.logits("test");
  assert.equal(Array.from(exits), Array.from(decide(cascade(table, result.score as "maxProb"), result)));
  assert.ok(classifier.isOriginChecked);
  const [weight] = net.namedParameters().values();
  weight!.write((await weight!.read()).map((x) => 2 * x) as Float32Array);
  assert.not(classifier.isOriginChecked, "other weights than the policy was made of");
  classifier.dispose();
  return result;
}

test("margins of precision for each class", async () => {
  const precision = { ...calexnet.with({ margin: 0.3, minSupport: 3 }).policy.precision };
  assert.equal(precision, { margin: 0.3, minSupport: 3, population: "survivors" });
  const found = await checkDevice(calexnet, async (run) => precisionMargins(await run.logits("validation"), precision));
  assert.is(found.thresholds.length, 2 * 4);
  assert.is(found.method, "class precision margin");
  assert.ok(found.thresholds.some(Number.isFinite), `${found.thresholds}`);
});

for (const method of [ptee, jeiDnn]) {
  test(`one threshold on what heads say of themselves: ${method.name}`, async () => {
    const { score, rule } = method.with().policy;
    assert.equal({ score, rule }, { score: "confidence", rule: { threshold: 0.5 } });
    const found = await checkDevice(method, async (run) =>
      fixedThreshold(await run.logits("validation"), { threshold: 0.5, score: "confidence" }),
    );
    assert.equal(Array.from(found.thresholds), [0.5, 0.5]);
  });
}

test("thresholds lie between scores, and the samples that leave are the rule's", () => {
  // Two exits, two classes: the first is right on all it is sure of.
  const logits = Float32Array.from({ length: 80 * 4 }, (_, at) => {
    const [i, k] = [Math.floor(at / 4), at % 4];
    const label = i % 2;
    const right = k < 2 ? i % 8 > 1 : true;
    return k % 2 === (right ? label : 1 - label) ? 0.5 + (right ? i / 40 : -i / 400) : 0;
  });
  const labels = Int32Array.from({ length: 80 }, (_, i) => i % 2);
  const scored = cascade(createTable({ shape: [80, 2, 2], logits, labels }));
  const found = precisionMargins(scored, { margin: 0.1, minSupport: 5 });
  const exits = decide(scored, found.thresholds);
  assert.ok(exits.includes(0) && exits.includes(1));
  assert.ok(scored.scores.every((score) => !found.thresholds.includes(score)));
});

test("what does not fit is refused", async () => {
  const table = createTable({
    shape: [4, 2, 2],
    logits: Float32Array.from({ length: 16 }, (_, i) => i % 5),
    labels: [0, 1, 0, 1],
  });
  await failsWith(
    () => fixedThreshold(table, { threshold: Number.NaN }),
    "CalibrationError",
    "fixedThreshold: threshold must be a number; got NaN.",
  );
  await failsWith(
    () => fixedThreshold(table, { threshold: 0.5, score: "confidence" }),
    "CalibrationError",
    "cascade: score confidence needs a table with the confidences of its heads; got logits only. Heads say them after training by ptee, jei-dnn, selective-net, eenet, beem or eefp.",
  );
});
