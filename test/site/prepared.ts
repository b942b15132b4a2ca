// What the guides are walked with: the reader's own files, and flags that make a test of what takes minutes.

import { type Prepared, saveLogits } from "../walk.ts";

/** The smallest training of glyphs: a test has seconds. */
const SMALL = [
  ...["--data.train", "64", "--data.validation", "20", "--data.calibration", "20", "--data.test", "20"],
  ...["--model.depth", "8", "--model.widths", "4,4,8", "--batch", "32", "--epochs", "1", "--train.warmup", "1"],
];

/** By the page's file. */
export const PREPARED: Readonly<Record<string, (folder: string) => Prepared | Promise<Prepared>>> = {
  "site/start.md": () => ({ flags: { train: SMALL } }),
  "site/guides/pytorch-logits.md": (folder) => ({
    withoutPython: () => saveLogits(folder, ["validation", "calibration", "test"]),
  }),
};
