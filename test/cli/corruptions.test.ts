// What `sortie evaluate --corruptions` computes, on a small network with a policy: against the parts that it is made
// of.

import { cascade, evaluate, evaluatePolicy, type PolicyFile } from "../../calibration/index.ts";
import { corruptionFindings, corruptionLines } from "../../cli/findings/corruptions.ts";
import { corruptionSection } from "../../cli/report/sections/corruptions.ts";
import { corrupt, glyphs, subset } from "../../data/index.ts";
import { buildNetwork, Evaluator, toTable, weightsDigest } from "../../exits/index.ts";
import { gpuSuite } from "../gpu.ts";
import { assert, failsWith } from "../harness.ts";

const test = gpuSuite("cli: corruptions", { timeout: 120_000 });

test("rows are what evaluation says of corrupted images, shifts are told against clean ones, means count what counts", async () => {
  const { test: images } = glyphs({ train: 0, validation: 0, calibration: 0, test: 60, seed: 3 });
  const options = { depth: 8, widths: [4, 8, 8] };
  const made = { input: images.shape, classes: 10, exits: ["stage1", "stage2"], head: "gap-linear" } as const;
  using net = buildNetwork({ backbone: "resnet", options, ...made }, { seed: 2 });
  const weights = await weightsDigest(net.state().values());
  using evaluator = await Evaluator.record(net, images);
  const tableOf = async (set: typeof images) => {
    const { size, labels, ids } = set;
    const logits = await evaluator.logits(set);
    return toTable({ shape: [size, net.exits, net.classes], logits, labels, ids, macs: net.macs(), weights });
  };
  const raw = await tableOf(images);
  const scored = cascade(raw);
  const first = [...scored.scores].filter((_, at) => at % net.exits === 0).sort((a, b) => a - b);
  const thresholds = Float64Array.of(first[30]!, Number.POSITIVE_INFINITY);
  const result = { ok: true, method: "by hand", score: "maxProb", thresholds, guarantee: { kind: "none" } };
  const file = { result } as unknown as PolicyFile;
  const names = ["first", "second", "last"];
  const told: string[] = [];
  const asked = { names: ["fog", "speckle_noise"], samples: 40, seed: 5 };
  const found = await corruptionFindings(
    net,
    images,
    { file, isForeign: false, raw, names },
    asked,
    (line) => void told.push(line),
  );
  assert.equal([found.samples, found.rows.length, told.length, found.weights], [40, 10, 2, weights]);
  const spread = (count: number) =>
    subset(
      images,
      Int32Array.from({ length: count }, (_, i) => Math.floor((60 * i) / count)),
    );
  const table = await tableOf(corrupt(spread(40), { name: "fog", severity: 3, seed: 5 }));
  const [row, clean] = [found.rows[2]!, found.clean];
  assert.equal(
    row.exits,
    evaluate(table).exits.map(({ accuracy, ece }) => ({ accuracy, ece })),
  );
  const policy = evaluatePolicy(table, result as never, { anyOrigin: true, sameSamples: true });
  assert.equal([row.policy?.accuracy, row.policy?.fractions], [policy.accuracy, [...policy.fractions]]);
  const moved = Math.abs(policy.fractions[0]! - clean.policy!.fractions[0]!);
  assert.ok(
    Math.abs(row.policy!.shift - moved) < 1e-12 && clean.policy!.shift === 0,
    `${row.policy!.shift} for ${moved}`,
  );
  const fog = found.rows.filter(({ name }) => name === "fog");
  const error = fog.reduce((sum, { exits }) => sum + 1 - exits[2]!.accuracy, 0) / 5;
  assert.ok(Math.abs(found.meanError.exits[2]! - error) < 1e-12, "speckle noise does not count");
  assert.match(corruptionLines(found)[0]!, /^mean corruption error \(images corrupted here, not divided/);
  const page = corruptionSection(found);
  assert.match(page, /<th scope="row">fog<\/th>/);
  assert.is(corruptionSection(undefined), "");
  // A policy of another network promises nothing here that could be broken.
  const certified = { ...result, method: "learn then test", alpha: 0.05, guarantee: { kind: "none" } };
  const request = { rule: "learnThenTest", score: "maxProb" } as const;
  for (const isForeign of [false, true]) {
    const looked = { file: { result: certified, request } as unknown as PolicyFile, isForeign, raw, names };
    const { clean, rows } = await corruptionFindings(net, images, looked, asked);
    for (const { policy } of [clean, ...rows])
      assert.equal([policy?.risk !== undefined, policy?.isBroken !== undefined], [!isForeign, !isForeign]);
  }
  // Spread over all images, and once for a name that is given twice.
  const fogs = { names: ["fog", "fog"], samples: 7, seed: 5 };
  const few = await corruptionFindings(net, images, { file, isForeign: false, raw, names }, fogs);
  assert.equal([few.samples, few.of, few.rows.length], [7, 60, 5]);
  assert.equal(
    few.clean.exits.map(({ accuracy }) => accuracy),
    evaluate(await tableOf(spread(7))).exits.map(({ accuracy }) => accuracy),
  );
  await failsWith(
    () =>
      corruptionFindings(
        net,
        images,
        { file, isForeign: false, raw: { ...raw, origin: undefined } as never, names },
        asked,
      ),
    "SortieError",
    "evaluate: the logits must say of which weights they are; got none.",
  );
});

test("policies by what heads say of themselves are looked at too", async () => {
  const { test: images } = glyphs({ train: 0, validation: 0, calibration: 0, test: 30, seed: 3 });
  const options = { depth: 8, widths: [4, 8, 8] };
  const made = { input: images.shape, classes: 10, exits: ["stage1", "stage2"], wraps: ["gated"] } as const;
  using net = buildNetwork({ backbone: "resnet", options, ...made }, { seed: 2 });
  const raw = { origin: { weights: await weightsDigest(net.state().values()) } } as never;
  const result = { ok: true, method: "by hand", score: "confidence", thresholds: Float64Array.of(0.5, 0.5) };
  const file = { result: { ...result, guarantee: { kind: "none" } } } as unknown as PolicyFile;
  const found = { file, isForeign: false, raw, names: ["first", "second", "last"] };
  const { rows, clean } = await corruptionFindings(net, images, found, { names: ["fog"], seed: 1 });
  assert.ok([clean, ...rows].every(({ policy }) => policy && policy.fractions.length === 3));
});
