// Norms and dropout of what is frozen, beside what is trained in the same stage or head.

import { randn } from "../../engine/index.ts";
import { HEADS, type MultiExit, multiExit } from "../../exits/index.ts";
import { inline } from "../../exits/network/heads/inline.ts";
import { mobilenetV3, msdnet, TRAIN } from "../../nn/index.ts";
import { gpuSuite } from "../gpu.ts";
import { assert } from "../harness.ts";
import { barNet } from "./small.ts";

const test = gpuSuite("exits: norms of what is frozen", { timeout: 120_000 });

/** All values, by name. */
const valuesByName = async (net: MultiExit): Promise<Map<string, string>> =>
  new Map(await Promise.all([...net.state()].map(async ([name, held]) => [name, (await held.read()).join()] as const)));

/** Networks with norms in stages, in heads and in a classifier of the backbone's own. */
const normed: Readonly<Record<string, () => MultiExit>> = {
  "conv-pool-linear": () => barNet({ head: "conv-pool-linear", wraps: ["inline"] }),
  attention: () => barNet({ head: "attention" }),
  prototype: () => barNet({ head: "prototype" }),
  "conv1d-linear": () => barNet({ head: "conv1d-linear" }),
  msdnet: () =>
    multiExit(msdnet({ classes: 4, input: [8, 8, 1], blocks: 2, seed: 1 }), {
      after: ["block1"],
      head: HEADS["msdnet"]!,
    }),
};

for (const [name, make] of Object.entries(normed)) {
  test(`${name}: norms move their statistics where they are trained themselves, and nowhere else`, async () => {
    using net = make();
    const x = randn([4, 8, 8, 1], { seed: 3 });
    const parameters = [...net.namedParameters().keys()];
    const isOfNorm = (parameter: string) => net.state().has(parameter.replace(/weight$|bias$/, "runningMean"));
    const ofNorms = parameters.filter(isOfNorm);
    for (const trains of [
      (parameter: string) => !isOfNorm(parameter),
      (parameter: string) => ofNorms.indexOf(parameter) % 4 === 0,
    ]) {
      const before = await valuesByName(net);
      net.records(x, TRAIN, { trains });
      for (const [buffer, values] of await valuesByName(net)) {
        const isTrained = ["weight", "bias"].some((field) => trains(buffer.replace(/running\w+$/, field)));
        if (net.namedBuffers().has(buffer)) assert.is(values !== before.get(buffer), isTrained, buffer);
      }
    }
    assert.ok(ofNorms.length >= 4);
  });
}

test("a classifier of the backbone's own drops nothing where it is frozen", async () => {
  const options = { classes: 4, input: [16, 16, 3], dropout: 0.5, seed: 1 } as const;
  for (const wraps of [[], [inline()]]) {
    using net = multiExit(mobilenetV3(options), { after: ["features.3"], wraps });
    const x = randn([4, 16, 16, 3], { seed: 3 });
    const last = async (trains: (parameter: string) => boolean) =>
      [...(await net.records(x, TRAIN, { trains })[1]!.logits.read())].join();
    const isStem = (parameter: string) => parameter.startsWith("backbone.features.0.");
    assert.is(await last(isStem), await last(isStem));
    const isClassifier = (parameter: string) => parameter.startsWith("backbone.classifier.");
    assert.not.equal(await last(isClassifier), await last(isClassifier));
  }
});
