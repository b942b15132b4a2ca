// Evaluation of a run: what is asked at the same time is answered apart.

import { Evaluator, train } from "../../exits/index.ts";
import { gpuSuite } from "../gpu.ts";
import { assert, errorOf } from "../harness.ts";
import { barSplits, bars, joint, quiet, smallNet } from "./small.ts";

const test = gpuSuite("exits: evaluation", { timeout: 120_000 });

/** Parts of more than one batch each. */
const longSplits = () => ({
  ...barSplits(),
  validation: bars(600, "validation", 1000),
  test: bars(530, "test", 3000),
});

test("what is asked of a run at once is what it says one after the other", async () => {
  using net = smallNet();
  using run = await train(net, longSplits(), { ...quiet, method: joint, epochs: 1 });
  const alone = [await run.evaluate("validation"), await run.evaluate("test")];
  const logits = await run.cachedLogits("test");
  const [validation, answers, test_] = await Promise.all([
    run.evaluate("validation"),
    run.cachedLogits("test"),
    run.evaluate("test"),
  ]);
  assert.equal([validation, test_], alone);
  assert.equal(answers.logits, logits.logits);
});

test("a refusal does not stop what was asked behind it", async () => {
  using net = smallNet();
  const data = longSplits();
  using run = await train(net, data, { ...quiet, method: joint, epochs: 1 });
  const alone = await run.evaluate("test");
  const { validation } = data;
  const unreadable = {
    length: validation.images.length,
    subarray() {
      throw new RangeError("a disk that is gone");
    },
  };
  using evaluator = await Evaluator.record(net, validation);
  const [refused, kept] = await Promise.allSettled([
    evaluator.tally({ ...validation, images: unreadable as never }),
    evaluator.tally(data.test),
  ]);
  assert.is(refused.status, "rejected");
  assert.is(kept.status === "fulfilled" && kept.value.accuracies[2], alone[2]!.accuracy);
});

// The suite finds what a second one would leave behind.
test("two questions to a run that ended before record one evaluator, which goes with the run", async () => {
  using net = smallNet();
  const files = new Map<string, Blob>();
  const store = {
    read: async (name: string) => files.get(name),
    write: async (name: string, file: Blob) => void files.set(name, file),
  };
  const options = { ...quiet, method: joint, epochs: 1, store };
  (await train(net, barSplits(), options)).dispose();
  using run = await train(net, barSplits(), options);
  await Promise.all([run.evaluate("validation"), run.evaluate("test"), run.logits("test")]);
  const ended = await train(net, barSplits(), options);
  const late = ended.evaluate("validation");
  ended.dispose();
  assert.match((await errorOf(() => late)).name, /DisposedError/);
});
