// Indian Pines from small scenes written here: both ways of splitting, and what is refused.

import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { countClasses, imageAt, indianPines } from "../../data/index.ts";
import type { Shares } from "../../data/sets/scene-split.ts";
import { assert, failsWith, suite } from "../harness.ts";
import { inTemporaryFolder, matFile, pattern, writeScene } from "./official.ts";

const test = suite("data sets: Indian Pines");

/**
 * Bands 0 and 1 of the pixel in the middle of a patch of `patch` x `patch` x 3: codes of its row and its column (see
 * `writeScene`).
 */
function centreOf(image: Uint8Array, patch: number): number[] {
  const at = ((patch * patch - 1) / 2) * 3;
  return [...image.subarray(at, at + 2)];
}

test("indianPines: patches stand around their pixel, in both ways of splitting", () =>
  inTemporaryFolder(async (dir) => {
    await writeScene(dir);
    for (const split of ["random", "disjoint-block"] as const) {
      const splits = await indianPines({ dir, verify: false, split, patch: 5, block: 8 });
      const parts = [splits.train, splits.validation, splits.calibration, splits.test];
      assert.match(splits.protocol, new RegExp(`^${split}: `));
      assert.is(/not proven here/.test(splits.protocol), split === "disjoint-block");
      // Values are linear in row and column, and cut to the range of the training pixels.
      const codeOf = (name: "row" | "column", value: number): number => {
        const seen = splits.train.columns[name]!;
        const [low, high] = [Math.min(...seen), Math.max(...seen)];
        return Math.min(255, Math.max(0, Math.round(((value - low) * 255) / (high - low))));
      };
      assert.is(
        parts.reduce((sum, part) => sum + part.size, 0),
        1200,
      );
      assert.equal(splits.train.shape, [5, 5, 3]);
      for (const part of parts) {
        assert.is(countClasses(part).filter((n) => n > 0).length, 4);
        for (let i = 0; i < part.size; i++) {
          const [row, column] = [part.columns["row"]![i]!, part.columns["column"]![i]!];
          assert.is(part.labels[i], (Math.floor(row / 10) % 2) + 2 * (Math.floor(column / 10) % 2));
          assert.equal(centreOf(imageAt(part, i), 5), [codeOf("row", row), codeOf("column", column)]);
        }
      }
    }
  }));

test("indianPines: with disjoint blocks no patch shows a pixel of another part", () =>
  inTemporaryFolder(async (dir) => {
    await writeScene(dir);
    const options = { dir, verify: false, patch: 7, block: 6 } as const;
    const sharedPixels = async (split: "random" | "disjoint-block"): Promise<number> => {
      const splits = await indianPines({ ...options, split });
      const blank = splits.train.meta.mean.map((x) => Math.round(255 * x));
      const shownBy = new Map<string, string>();
      let shared = 0;
      for (const name of ["train", "validation", "calibration", "test"] as const) {
        const part = splits[name];
        for (let i = 0; i < part.size; i++) {
          const image = imageAt(part, i);
          const [row, column] = [part.columns["row"]![i]!, part.columns["column"]![i]!];
          for (let p = 0; p < 49; p++) {
            if (blank.every((value, band) => image[3 * p + band] === value)) continue;
            const pixel = `${row + Math.floor(p / 7) - 3},${column + (p % 7) - 3}`;
            if ((shownBy.get(pixel) ?? name) !== name) shared++;
            shownBy.set(pixel, name);
          }
        }
      }
      return shared;
    };
    assert.is(await sharedPixels("disjoint-block"), 0);
    assert.ok((await sharedPixels("random")) > 1000);
  }));

test("indianPines: with blocks too, parts get their shares, what they leave is unused, and a share of 0 gets nothing", () =>
  inTemporaryFolder(async (dir) => {
    await writeScene(dir);
    const of = async (shares: Shares) => {
      const options = { dir, verify: false, split: "disjoint-block", block: 2, patch: 3, shares } as const;
      const { train, validation, calibration, test } = await indianPines(options);
      return [train, validation, calibration, test].map(({ size }) => size / 1200);
    };
    const near = (found: readonly number[], wanted: readonly number[]) =>
      assert.ok(
        found.every((share, i) => Math.abs(share - wanted[i]!) < (wanted[i] === 0 ? 1e-9 : 0.02)),
        `${found} for ${wanted}`,
      );
    near(await of({ train: 0.2, validation: 0.1, calibration: 0.1, test: 0.1 }), [0.2, 0.1, 0.1, 0.1]);
    near(await of({ train: 0.3, validation: 0, calibration: 0, test: 0.1 }), [0.3, 0, 0, 0.1]);
    near(await of({ train: 0.7, validation: 0, calibration: 0, test: 0.3 }), [0.7, 0, 0, 0.3]);
    // Blocks that fit no share well: what is too large for all others is no reason to fill a part of none.
    const coarse = { dir, verify: false, block: 13, shares: { train: 0.6, validation: 0, calibration: 0, test: 0.4 } };
    const { train, validation, calibration, test } = await indianPines(coarse);
    assert.equal([train.size + test.size, validation.size, calibration.size], [1200, 0, 0]);
  }));

test("indianPines: options and files that do not fit are refused", () =>
  inTemporaryFolder(async (dir) => {
    await writeScene(dir);
    const fails = (options: object, message: string) =>
      failsWith(() => indianPines({ dir, verify: false, ...options }), "DataError", `indianPines: ${message}`);
    await fails({ patch: 4 }, "patch must be odd; got 4.");
    await fails({ split: "blocks" }, 'split must be one of disjoint-block, random; got "blocks".');
    await fails(
      { shares: { train: 0.9, validation: 0.1, calibration: 0.1, test: 0 } },
      "the shares must add up to at most 1; got 1.1.",
    );
    const small = matFile([{ name: "indian_pines_gt", shape: [4, 4], data: pattern(16) }]);
    await writeFile(join(dir, "Indian_pines_gt.mat"), small);
    await fails({}, "Indian_pines_gt.mat must be [40, 30] as the cube; got [4, 4].");
  }));
