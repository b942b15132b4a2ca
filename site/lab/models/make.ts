// `npm run lab:models -- --data-dir DIR`: trains and certifies the models that ship with the lab, and writes them here:
// glyphs, drawn by code, and Fashion-MNIST, of whose test images some come along to try it on.

import { mkdirSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { applyScaling, evaluatePolicy, explain, fit, learnThenTest } from "../../../calibration/index.ts";
import { encodePng, fashionMnist, glyphs, type Splits } from "../../../data/index.ts";
import { createDevice } from "../../../engine/index.ts";
import { buildNetwork, encodeModel, softCgt, train } from "../../../exits/index.ts";

const here = fileURLToPath(new URL(".", import.meta.url));
/** Test images that come along with Fashion-MNIST: so many rows and columns of one picture. */
const [ROWS, COLUMNS] = [20, 25];

interface Recipe {
  readonly name: string;
  readonly alpha: number;
  readonly epochs: number;
  /** Where its images come from, as the file is to say it. */
  readonly images: Readonly<Record<string, unknown>>;
}

async function make(data: Splits, { name, alpha, epochs, images }: Recipe): Promise<void> {
  const { classes, shape, meta } = data.test;
  const [height, width, channels] = shape;
  const net = buildNetwork(
    {
      backbone: "resnet",
      options: { depth: 8, widths: [8, 16, 32] },
      input: [height, width, channels],
      classes: classes.length,
      exits: ["stage1", "stage2"],
      head: "gap-norm-linear",
    },
    { seed: 1 },
  );
  const method = softCgt.with({ tau: 0.9, kappa: 10, normalise: false, anneal: false });
  using run = await train(net, data, { method, epochs, batch: 64, seed: 1 });
  const validation = await run.logits("validation");
  const scaling = fit(validation, { method: "temperature" });
  const scaled = async (split: "calibration" | "test") => applyScaling(await run.logits(split), scaling);
  const result = learnThenTest(await scaled("calibration"), {
    ...{ alpha, delta: 0.1 },
    validation: applyScaling(validation, scaling),
  });
  if (!result.ok) throw new Error(`${name}: ${result.reason}`);
  const { accuracy, cost } = evaluatePolicy(await scaled("test"), result);
  console.log(explain(result));
  console.log(`${name}: accuracy ${accuracy}, cost ${cost}`);
  const training = { images, method: "soft-cgt", epochs, seed: 1, samples: data.train.size };
  const policy = { result, scaling };
  const bytes = await encodeModel(net, { classes, normalise: meta, policy, training });
  writeFileSync(`${here}${name}.sortie.safetensors`, bytes);
  console.log(`${name}.sortie.safetensors: ${bytes.length} bytes`);
  net.dispose();
}

/** Some test images as one picture, and what they show. */
function writeSamples({ test }: Splits, name: string): void {
  const [height, width] = test.shape;
  const sheet = new Uint8Array(ROWS * height * COLUMNS * width);
  for (let i = 0; i < ROWS * COLUMNS; i++) {
    const [top, left] = [Math.floor(i / COLUMNS) * height, (i % COLUMNS) * width];
    for (let y = 0; y < height; y++) {
      const row = test.images.subarray((i * height + y) * width, (i * height + y + 1) * width);
      sheet.set(row, (top + y) * COLUMNS * width + left);
    }
  }
  const picture = { width: COLUMNS * width, height: ROWS * height, channels: 1, data: sheet } as const;
  writeFileSync(`${here}${name}.samples.png`, encodePng(picture));
  const labels = [...test.labels.subarray(0, ROWS * COLUMNS)];
  writeFileSync(`${here}${name}.samples.json`, `${JSON.stringify({ rows: ROWS, columns: COLUMNS, labels })}\n`);
}

const { values } = parseArgs({ options: { "data-dir": { type: "string" }, only: { type: "string" } } });
mkdirSync(here, { recursive: true });
const device = await createDevice();
if (values.only !== "fashion-mnist") {
  const options = { train: 8000, validation: 1000, calibration: 2000, test: 1000, seed: 1 };
  await make(glyphs(options), { name: "glyphs", alpha: 0.05, epochs: 6, images: { set: "glyphs", options } });
}
if (values["data-dir"] !== undefined) {
  const data = await fashionMnist({
    dir: values["data-dir"],
    train: 16_000,
    validation: 2000,
    calibration: 4000,
    seed: 1,
  });
  await make(data, { name: "fashion-mnist", alpha: 0.1, epochs: 3, images: { set: "fashion-mnist" } });
  writeSamples(data, "fashion-mnist");
}
device.dispose();
