// Networks prepared for inference against themselves as they are: every backbone and head, with running statistics
// drawn, in poisoned memory.

import { zip } from "../../base/index.ts";
import { capture, cast, noGrad, read, stack, type Tensor } from "../../engine/functions.ts";
import { PreparedNet } from "../../exits/deploy/prepared.ts";
import { SLACK } from "../../exits/deploy/thresholds.ts";
import type { ExitRecord, MultiExit } from "../../exits/index.ts";
import { EVAL } from "../../nn/index.ts";
import { poisoned } from "../engine/live.ts";
import { mulberry } from "../engine/ops/check.ts";
import { device, gpuSuite } from "../gpu.ts";
import { assert } from "../harness.ts";
import { SUBJECTS } from "./subjects.ts";

const test = gpuSuite("exits: networks prepared for inference", { timeout: 180_000 });
const N = 9;

/** Gives every norm weights and statistics that differ between channels. */
async function drawNorms(net: MultiExit): Promise<void> {
  const random = mulberry(11);
  for (const [name, values] of net.state()) {
    const own = /(bn|norm|shortcut\.1|\.1)\S*\.weight$/i.test(name) && values.rank === 1;
    const draw = /layerScale$/.test(name)
      ? () => 0.2 + 0.3 * random()
      : /runningVar$/.test(name)
        ? () => 0.3 + 2 * random()
        : /runningMean$/.test(name)
          ? () => random() - 0.5
          : own
            ? () => 0.5 + random()
            : values.rank === 1
              ? () => 0.4 * (random() - 0.5)
              : undefined;
    if (draw) values.write(Float32Array.from({ length: values.size }, draw));
  }
}

/** Logits [N, K, C] by passes that were made with `prepare`. */
function preparedLogits(net: MultiExit, x: Tensor, prepare: (weight: Tensor) => Tensor): Tensor {
  const mode = { training: false, prepare };
  const all: Tensor[] = [];
  const said: ExitRecord[] = [];
  const exits = Array.from({ length: net.exits }, (_, j) => j);
  const areAlone = exits.every((j) => net.readsOf(j).fields.length === 0);
  let features = x;
  for (const j of exits) {
    features = net.segmentPass(j, mode)(features);
    const seen = net.seen(j, features);
    said.push(net.recordPass(j, mode)(seen, said.slice()));
    all.push(areAlone ? net.answerPass(j, mode)(seen) : said[j]!.logits);
  }
  return stack(all, { dim: 1 });
}

/** Logits, or what the answering of every exit says, by a prepared network. */
function passesOf(net: PreparedNet, exits: number, x: Tensor): Tensor[] {
  const said: ExitRecord[] = [];
  let features = x;
  return Array.from({ length: exits }, (_, j) => {
    features = net.segments[j]!(features);
    const answering = net.answers[j]!;
    const seen = net.seen(j, features);
    if ("tail" in answering) return answering.tail.parameters;
    if ("pass" in answering) return answering.pass(seen);
    said[j] = answering.say(seen, said.slice());
    return said[j].logits;
  }).concat(features);
}

const APART = /^(vit, mean|convnext|msdnet|heads that|resnet, attention)/;
for (const [name, subject] of Object.entries(SUBJECTS).filter(([name]) => APART.test(name))) {
  test(`what is begun ends with the same weights, whatever becomes of the network's: ${name}`, async () => {
    using net = subject.make(device());
    const wanted = { isOpen: () => true, byClass: () => false, isTold: false, isApart: true };
    const prepared = await PreparedNet.make(net, device(), "f32", wanted);
    const inputs = { x: { shape: [2, 12, 12, 3], dtype: "f32" } } as const;
    using run = await capture({ inputs }, ({ x }) => noGrad(() => passesOf(prepared, net.exits, x)));
    const images = Float32Array.from({ length: 2 * 432 }, (_, i) => Math.sin(i));
    prepared.refresh();
    const want = await read(run.run({ x: images }));
    const weights = [...net.state().values()];
    for (const weight of weights) weight.write(new Float32Array(weight.size).fill(0.3));
    assert.equal(await read(run.run({ x: images })), want, "not prepared anew yet");
    prepared.refresh();
    assert.not.equal(await read(run.run({ x: images })), want);
    prepared.dispose();
  });
}

for (const [name, subject] of Object.entries(SUBJECTS)) {
  test(name, async () => {
    const net = subject.make(device());
    await drawNorms(net);
    const random = mulberry(3);
    const images = Float32Array.from({ length: N * 432 }, () => 3 * random() - 1.5);
    const before = await read([...net.state().values()]);
    const inputs = { x: { shape: [N, 12, 12, 3], dtype: "f32" } } as const;
    using both = await poisoned(device(), () =>
      capture({ inputs }, ({ x }) =>
        noGrad(() => [
          net.forward(x, EVAL),
          preparedLogits(net, x, (weight) => weight),
          ...(device().info.hasF16 ? [preparedLogits(net, cast(x, "f16"), (weight) => cast(weight, "f16"))] : []),
        ]),
      ),
    );
    const [want, ...got] = (await read(both.run({ x: images }))) as Float32Array[];
    const most = want!.reduce((largest, z) => Math.max(largest, Math.abs(z)), 0);
    assert.ok(most > 0.05 && Number.isFinite(most), `logits up to ${most}`);
    for (const [logits, precision] of zip(got, (["f32", "f16"] as const).slice(0, got.length))) {
      const worst = logits.reduce(
        (worst, z, i) => Math.max(worst, Math.abs(z - want![i]!) / (1 + Math.abs(want![i]!))),
        0,
      );
      assert.ok(worst <= SLACK[precision] / 2, `${name}, ${precision}: off by ${worst} of 1 + |z|`);
    }
    assert.equal(await read([...net.state().values()]), before, "the network itself");
    net.dispose();
  });
}
