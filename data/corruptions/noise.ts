// Noise, by the parameters published for CIFAR-10-C.

import { log } from "../numeric.ts";
import type { Stream } from "../random.ts";
import { type Corruption, graded } from "./kind.ts";
import { mapped } from "./pixels.ts";

const GAUSSIAN = [0.04, 0.06, 0.08, 0.09, 0.1];
const PHOTONS = [500, 250, 100, 75, 50];
const IMPULSES = [0.01, 0.02, 0.03, 0.05, 0.07];
const SPECKLE = [0.06, 0.1, 0.12, 0.16, 0.2];

/** log n!, by Stirling's series. */
const logFactorial = (n: number): number => {
  const x = n + 1;
  if (x < 9) return logFactorial(n + 1) - log(n + 1);
  return (x - 0.5) * log(x) - x + 0.9189385332046727 + 1 / (12 * x) - 1 / (360 * x ** 3) + 1 / (1260 * x ** 5);
};

/** A Poisson number: products of uniforms for small means, else by transformed rejection (PTRS, Hoermann 1993). */
export function poisson(mean: number, stream: Stream): number {
  if (mean < 10) {
    const limit = Math.exp(-mean);
    let count = 0;
    for (let product = stream.uniform(); product > limit; product *= stream.uniform()) count++;
    return count;
  }
  const b = 0.931 + 2.53 * Math.sqrt(mean);
  const a = -0.059 + 0.02483 * b;
  const inverseAlpha = 1.1239 + 1.1328 / (b - 3.4);
  const squeeze = 0.9277 - 3.6224 / (b - 2);
  for (;;) {
    const [u, v] = [stream.uniform() - 0.5, stream.uniform()];
    const us = 0.5 - Math.abs(u);
    const k = Math.floor(((2 * a) / us + b) * u + mean + 0.43);
    if (us >= 0.07 && v <= squeeze) return k;
    if (k < 0 || v === 0 || us === 0 || (us < 0.013 && v > us)) continue;
    const height = log(v) + log(inverseAlpha) - log(a / (us * us) + b);
    if (height <= -mean + k * log(mean) - logFactorial(k)) return k;
  }
}

export const NOISE: readonly Corruption[] = [
  {
    name: "gaussian_noise",
    about: "Gaussian noise on every value",
    apply: graded(GAUSSIAN, (x, sigma, stream) => mapped(x, (value) => value + sigma * stream.normal())),
  },
  {
    name: "shot_noise",
    about: "Poisson noise: few photons",
    apply: graded(PHOTONS, (x, most, stream) => mapped(x, (value) => poisson(value * most, stream) / most)),
  },
  {
    name: "impulse_noise",
    about: "salt and pepper",
    apply: graded(IMPULSES, (x, share, stream) =>
      mapped(x, (value) => (stream.chance(share) ? (stream.chance(0.5) ? 1 : 0) : value)),
    ),
  },
  {
    name: "speckle_noise",
    about: "Gaussian noise that grows with the value",
    isExtra: true,
    apply: graded(SPECKLE, (x, sigma, stream) => mapped(x, (value) => value + value * sigma * stream.normal())),
  },
];
