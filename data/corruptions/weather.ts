// Weather, by the parameters published for CIFAR-10-C. Frost and spatter need pictures, or filters, that are drawn by
// code here.

import type { Stream } from "../random.ts";
import { type Corruption, graded } from "./kind.ts";
import { blank, clip, drawn, gaussian, grey, inBytes, mapped, motion, type Pixels, rounded, zoomed } from "./pixels.ts";

/** [mean, deviation, zoom, threshold, radius, deviation of the motion, share of the image] */
const SNOW = [
  [0.1, 0.2, 1, 0.6, 8, 3, 0.95],
  [0.1, 0.2, 1, 0.5, 10, 4, 0.9],
  [0.15, 0.3, 1.75, 0.55, 10, 4, 0.9],
  [0.25, 0.3, 2.25, 0.6, 12, 6, 0.85],
  [0.3, 0.3, 1.25, 0.65, 14, 12, 0.8],
] as const;
/** [share of the image, of the frost] */
const FROST = [
  [1, 0.2],
  [1, 0.3],
  [0.9, 0.4],
  [0.85, 0.4],
  [0.75, 0.45],
] as const;
/** [strength, how fast detail fades] */
const FOG = [
  [0.2, 3],
  [0.5, 3],
  [0.75, 2.5],
  [1, 2],
  [1.5, 1.75],
] as const;
/** [mean, deviation, blur, threshold, strength of water or blur of mud, whether it is mud] */
const SPATTER = [
  [0.62, 0.1, 0.7, 0.7, 0.5, false],
  [0.65, 0.1, 0.8, 0.7, 0.5, false],
  [0.65, 0.3, 1, 0.69, 0.5, false],
  [0.65, 0.1, 0.7, 0.69, 0.6, true],
  [0.65, 0.1, 0.5, 0.68, 0.6, true],
] as const;

/** A colour on a picture: of other than three channels its brightness. */
function shade(colour: readonly [number, number, number], c: number, channels: number): number {
  return channels === 3 ? colour[c]! : 0.299 * colour[0] + 0.587 * colour[1] + 0.114 * colour[2];
}

/** Plasma by diamonds and squares, cut to a size, in 0..1; detail fades by `decay` from step to step. */
export function plasma(height: number, width: number, decay: number, stream: Stream): Pixels {
  const size = 2 ** Math.ceil(Math.log2(Math.max(2, height, width)));
  const map = new Float64Array(size * size);
  const at = (i: number, j: number) => ((i + size) % size) * size + ((j + size) % size);
  for (let step = size, wobble = 100; step >= 2; step /= 2, wobble /= decay) {
    const half = step / 2;
    const set = (i: number, j: number, near: readonly (readonly [number, number])[]) => {
      const sum = near.reduce((all, [di, dj]) => all + map[at(i + di, j + dj)]!, 0);
      map[at(i, j)] = sum / 4 + wobble * stream.between(-wobble, wobble);
    };
    const corners = [
      [-half, -half],
      [-half, half],
      [half, -half],
      [half, half],
    ] as const;
    const sides = [
      [-half, 0],
      [half, 0],
      [0, -half],
      [0, half],
    ] as const;
    for (let i = half; i < size; i += step) for (let j = half; j < size; j += step) set(i, j, corners);
    for (let i = 0; i < size; i += step) for (let j = half; j < size; j += step) set(i, j, sides);
    for (let i = half; i < size; i += step) for (let j = 0; j < size; j += step) set(i, j, sides);
  }
  const low = map.reduce((a, b) => Math.min(a, b));
  const span = map.reduce((a, b) => Math.max(a, b)) - low;
  return drawn(height, width, 1, (i, j) => (map[i * size + j]! - low) / (span || 1));
}

const noise = ({ height, width }: Pixels, mean: number, deviation: number, stream: Stream): Pixels =>
  mapped(blank(height, width, 1), () => mean + deviation * stream.normal());

/** The same turned by half a turn. */
const turned = (x: Pixels): Pixels => ({ ...x, data: x.data.slice().reverse() });

function snow(
  x: Pixels,
  [mean, deviation, zoom, threshold, radius, sigma, share]: (typeof SNOW)[number],
  stream: Stream,
): Pixels {
  const flakes = mapped(zoomed(noise(x, mean, deviation, stream), zoom), (v) => (v < threshold ? 0 : clip(v)));
  const layer = rounded(motion(inBytes(flakes), { radius, sigma, angle: stream.between(-135, -45) }));
  const [white, back] = [grey(x), turned(layer)];
  return mapped(x, (value, _, at) => {
    const pixel = Math.floor(at / x.channels);
    const whitened = share * value + (1 - share) * Math.max(value, 1.5 * white.data[pixel]! + 0.5);
    return whitened + layer.data[pixel]! + back.data[pixel]!;
  });
}

const ICE = [0.85, 0.93, 1] as const;

function frost(x: Pixels, [share, strength]: (typeof FROST)[number], stream: Stream): Pixels {
  const { height, width, channels } = x;
  // Ridges of two plasmas, coarse and fine: needles between bare patches.
  const [coarse, fine] = [plasma(height, width, 2, stream), plasma(height, width, 1.4, stream)];
  return mapped(x, (value, c, at) => {
    const pixel = Math.floor(at / channels);
    const ridge = (1 - Math.abs(2 * fine.data[pixel]! - 1)) * (0.4 + 0.6 * coarse.data[pixel]!);
    return share * value + strength * shade(ICE, c, channels) * clip(1.4 * ridge);
  });
}

function fog(x: Pixels, [strength, decay]: (typeof FOG)[number], stream: Stream): Pixels {
  const most = x.data.reduce((a, b) => Math.max(a, b), 0);
  const layer = plasma(x.height, x.width, decay, stream);
  return mapped(x, (value, _, at) => {
    return ((value + strength * layer.data[Math.floor(at / x.channels)]!) * most) / (most + strength);
  });
}

const WATER = [175 / 255, 238 / 255, 238 / 255] as const;
const MUD = [63 / 255, 42 / 255, 20 / 255] as const;

function spatter(
  x: Pixels,
  [mean, deviation, blur, threshold, strength, isMud]: (typeof SPATTER)[number],
  stream: Stream,
): Pixels {
  const liquid = mapped(gaussian(noise(x, mean, deviation, stream), blur), (v) => (v < threshold ? 0 : v));
  const { channels } = x;
  if (isMud) {
    const mask = mapped(
      gaussian(
        mapped(liquid, (v) => (v > threshold ? 1 : 0)),
        strength,
      ),
      (v) => (v < 0.8 ? 0 : v),
    );
    return mapped(x, (value, c, at) => {
      const m = mask.data[Math.floor(at / channels)]!;
      return value * (1 - m) + m * shade(MUD, c, channels);
    });
  }
  // Published: weighed by the distance to its rim, equalised. Here: as far as its surroundings are wet.
  const depth = gaussian(
    mapped(liquid, (v) => (v > 0 ? 1 : 0)),
    1,
  );
  const drops = mapped(liquid, (v, _, at) => v * depth.data[at]!);
  const most = drops.data.reduce((a, b) => Math.max(a, b), 0);
  return mapped(x, (value, c, at) => {
    const m = most > 0 ? (strength * drops.data[Math.floor(at / channels)]!) / most : 0;
    return value + m * shade(WATER, c, channels);
  });
}

export const WEATHER: readonly Corruption[] = [
  { name: "snow", about: "falling snow", apply: graded(SNOW, snow) },
  {
    name: "frost",
    about: "ice on the lens",
    synthetic: "ice drawn by code, where photographs of frost were used",
    apply: graded(FROST, frost),
  },
  { name: "fog", about: "plasma in front of everything", apply: graded(FOG, fog) },
  {
    name: "spatter",
    about: "drops of water, of mud from severity 4 on",
    isExtra: true,
    synthetic: "drops of water shaded by how wet their surroundings are, not by the distance to their rim",
    apply: graded(SPATTER, spatter),
  },
];
