// Validity by simulation of the losses that need probabilities (Brier, Hellinger), on a million samples of logits:
// under one threshold for all exits the true mean loss is a sum over sorted scores.

import {
  cascade,
  controlRisk,
  createRandom,
  createTable,
  type ExitLoss,
  exitLosses,
  type Random,
  selectSamples,
  type Table,
} from "../calibration/index.ts";
import { type OtherRow, row } from "./validity-others.ts";

const [EXITS, CLASSES] = [3, 3];

/** Three exits, the later the surer of the label; twice as confident as they should be. */
function drawTable(size: number, random: Random): Table {
  const labels = Int32Array.from({ length: size }, () => random.below(CLASSES));
  const logits = new Float32Array(size * EXITS * CLASSES);
  for (let i = 0; i < size; i++) {
    const ease = 2 + 1.5 * random.normal();
    for (let k = 0; k < EXITS * CLASSES; k++) {
      const signal = k % CLASSES === labels[i] ? ease + Math.floor(k / CLASSES) : 0;
      logits[i * EXITS * CLASSES + k] = 2 * (signal + random.normal());
    }
  }
  return createTable({ logits, labels, shape: [size, EXITS, CLASSES] });
}

/** The mean loss under one shared threshold, for every threshold. */
function meanLoss({ scores, samples }: { scores: Float64Array; samples: number }, losses: Float64Array) {
  const steps = new Float64Array(2 * samples);
  const values = new Float64Array(2 * samples);
  for (let i = 0; i < samples; i++) {
    const [first, second] = [scores[i * EXITS]!, scores[i * EXITS + 1]!];
    // the second exit answers at thresholds between the two scores
    const later = second > first ? losses[i * EXITS + 1]! : 0;
    steps[2 * i] = first;
    values[2 * i] = losses[i * EXITS]! - later;
    steps[2 * i + 1] = second;
    values[2 * i + 1] = later;
  }
  const order = Uint32Array.from(steps, (_, k) => k).sort((a, b) => steps[b]! - steps[a]!);
  const sums = new Float64Array(order.length);
  let sum = 0;
  order.forEach((k, rank) => {
    sum += values[k]!;
    sums[rank] = sum / samples;
  });
  return (threshold: number): number => {
    let low = 0;
    let high = order.length; // first rank below the threshold
    while (low < high) {
      const mid = (low + high) >> 1;
      if (steps[order[mid]!]! >= threshold) low = mid + 1;
      else high = mid;
    }
    return low === 0 ? 0 : sums[low - 1]!;
  };
}

/** Conformal risk control and betting bounds on each loss. */
export function lossRows(repeats: number): readonly OtherRow[] {
  const random = createRandom(41);
  const [size, n, alpha, delta] = [1_000_000, 200, 0.05, 0.1];
  const population = drawTable(size, random);
  const scored = cascade(population);
  const names: readonly ExitLoss[] = ["brierGap", "brierDisagreement", "hellinger"];
  return names.flatMap((loss) => {
    const truth = meanLoss(scored, exitLosses(population, loss));
    const sums = { mean: 0, square: 0, above: 0, coverage: [0, 0] as [number, number] };
    for (let r = 0; r < repeats; r++) {
      const draw = () =>
        selectSamples(
          population,
          Int32Array.from({ length: n }, () => random.below(size)),
        );
      const [calibration, validation] = [draw(), draw()];
      const shared = { alpha, loss, validation, seed: r, steps: 25 } as const;
      const marginal = controlRisk(calibration, shared);
      const risk = marginal.ok ? truth(marginal.thresholds[0]!) : 0;
      sums.mean += risk / repeats;
      sums.square += risk ** 2 / repeats;
      const likely = controlRisk(calibration, { ...shared, delta, method: "ucb" });
      if (likely.ok && truth(likely.thresholds[0]!) > alpha) sums.above += 1 / repeats;
      sums.coverage[0] += (marginal.ok ? marginal.coverage : 0) / repeats;
      sums.coverage[1] += (likely.ok ? likely.coverage : 0) / repeats;
    }
    const error = Math.sqrt((sums.square - sums.mean ** 2) / repeats);
    const early = (k: 0 | 1) => `${(100 * sums.coverage[k]).toFixed(1)} % leave early`;
    return [
      row(`CRC, ${loss}`, `n ${n}, mean loss on average`, alpha, sums.mean, error, early(0)),
      row(
        `UCB, WSR betting, ${loss}`,
        `n ${n}, share with mean loss above ${alpha}`,
        delta,
        sums.above,
        Math.sqrt((delta * (1 - delta)) / repeats),
        early(1),
      ),
    ];
  });
}
