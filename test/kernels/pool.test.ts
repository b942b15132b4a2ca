// Pooling kernels and their gradients against float64.

import { avgPool, avgPoolBackward, maxPool, maxPoolBackward, placeWords } from "../../kernels/pool.ts";
import { adapterSuite } from "../gpu.ts";
import { assert } from "../harness.ts";
import { close, hasF16, runKernel, sample } from "./lab.ts";

interface Geometry {
  readonly n: number;
  readonly h: number;
  readonly w: number;
  readonly c: number;
  readonly k: readonly [number, number];
  readonly s: readonly [number, number];
  readonly p: readonly [number, number];
  /** How far the cells of a maximum are apart. */
  readonly d?: readonly [number, number];
  readonly ceil?: boolean;
}

const geometries: readonly Geometry[] = [
  { n: 2, h: 6, w: 8, c: 4, k: [2, 2], s: [2, 2], p: [0, 0] },
  { n: 1, h: 7, w: 9, c: 33, k: [3, 3], s: [2, 2], p: [1, 1] },
  { n: 3, h: 5, w: 4, c: 1, k: [3, 2], s: [1, 2], p: [1, 0] },
  { n: 1, h: 11, w: 13, c: 8, k: [2, 3], s: [3, 4], p: [1, 1] },
  { n: 1, h: 1, w: 31, c: 12, k: [1, 5], s: [1, 1], p: [0, 2] },
  { n: 1, h: 17, w: 17, c: 4, k: [17, 17], s: [1, 1], p: [8, 8] },
  { n: 0, h: 6, w: 6, c: 4, k: [2, 2], s: [2, 2], p: [0, 0] },
  { n: 2, h: 7, w: 10, c: 8, k: [2, 2], s: [2, 3], p: [0, 0], ceil: true },
  { n: 1, h: 10, w: 9, c: 33, k: [3, 3], s: [2, 4], p: [1, 1], ceil: true },
  { n: 2, h: 13, w: 11, c: 12, k: [3, 2], s: [2, 1], p: [1, 1], d: [2, 3] },
  { n: 1, h: 9, w: 14, c: 5, k: [3, 3], s: [3, 2], p: [2, 0], d: [2, 4], ceil: true },
  { n: 1, h: 1, w: 6, c: 4, k: [2, 2], s: [1, 1], p: [2, 1], d: [4, 1] },
];

const APART = [1, 1] as const;

function dimsOf({ n, h, w, c, k, s, p, d = APART, ceil = false }: Geometry) {
  const count = (size: number, a: 0 | 1): number => {
    const starts = range(0, size + p[a]).filter((at) => at % s[a] === 0);
    const reach = (k[a] - 1) * d[a] + 1;
    const fitting = starts.filter((at) => at + reach <= size + 2 * p[a]).length;
    return ceil ? Math.min(starts.length, fitting + Number((size + 2 * p[a] - reach) % s[a] !== 0)) : fitting;
  };
  const [oh, ow] = [count(h, 0), count(w, 1)];
  return { n, h, w, c, oh, ow, kh: k[0], kw: k[1], sh: s[0], sw: s[1], pt: p[0], pl: p[1] };
}

type Image = Readonly<Record<"n" | "h" | "w" | "c" | "oh" | "ow", number>>;

/** Calls `body` for every output and every cell of its window, given the windows of an axis. */
function eachCell(
  { n, h, w, c, oh, ow }: Image,
  windows: { rows: (o: number) => number[]; cols: (o: number) => number[] },
  body: (out: number, cell: number, place: number, count: number) => void,
): void {
  for (let b = 0; b < n; b++)
    for (let oy = 0; oy < oh; oy++)
      for (let ox = 0; ox < ow; ox++)
        for (let ch = 0; ch < c; ch++) {
          const rows = windows.rows(oy);
          const cols = windows.cols(ox);
          const count = rows.filter((y) => y >= 0 && y < h).length * cols.filter((x) => x >= 0 && x < w).length;
          rows.forEach((y, i) => {
            cols.forEach((x, j) => {
              if (y < 0 || y >= h || x < 0 || x >= w) return;
              const out = ((b * oh + oy) * ow + ox) * c + ch;
              body(out, ((b * h + y) * w + x) * c + ch, i * cols.length + j, count);
            });
          });
        }
}

const range = (from: number, to: number): number[] => Array.from({ length: to - from }, (_, i) => from + i);
const fixed = ({ k, s, p, d = APART }: Geometry) => ({
  rows: (o: number) => range(0, k[0]).map((i) => o * s[0] - p[0] + i * d[0]),
  cols: (o: number) => range(0, k[1]).map((i) => o * s[1] - p[1] + i * d[1]),
});
const adaptive = ({ h, w, oh, ow }: Image) => ({
  rows: (o: number) => range(Math.floor((o * h) / oh), Math.ceil(((o + 1) * h) / oh)),
  cols: (o: number) => range(Math.floor((o * w) / ow), Math.ceil(((o + 1) * w) / ow)),
});

const widthOf = (c: number): 1 | 4 => (c % 4 === 0 ? 4 : 1);
const inputs = ({ n, h, w, c }: Image): number => n * h * w * c;
const outs = ({ n, oh, ow, c }: Image): number => n * oh * ow * c;

function maxReference(dims: Image, geometry: Geometry, x: ArrayLike<number>, g: ArrayLike<number>) {
  const y = new Float64Array(outs(dims)).fill(-Infinity);
  const cell = new Int32Array(outs(dims)).fill(-1);
  eachCell(dims, fixed(geometry), (out, at) => {
    const value = x[at] as number;
    if (cell[out] !== -1 && !(value > (y[out] as number)) && !Number.isNaN(value)) return;
    y[out] = value;
    cell[out] = at;
  });
  const dx = new Float64Array(inputs(dims));
  cell.forEach((at, out) => {
    // A window between whose cells the image lies holds nothing.
    if (at >= 0) dx[at] = (dx[at] as number) + (g[out] as number);
  });
  return { y, dx };
}

/** Adaptive windows follow from the sizes. */
const NO_WINDOW = { kh: 0, kw: 0, sh: 0, sw: 0, pt: 0, pl: 0, includePad: 0 };

const test = adapterSuite("pool");

for (const geometry of geometries) {
  const dims = dimsOf(geometry);
  const [dh, dw] = geometry.d ?? APART;
  const maxDims = { ...dims, dh, dw };
  const title = JSON.stringify(geometry);
  const width = geometry.k[0] * geometry.k[1] > 256 ? 1 : widthOf(geometry.c);

  test(`maxPool2d ${title}`, async () => {
    // Rounded, so that windows hold ties.
    const x = sample(inputs(dims)).map((value) => Math.round(value * 3));
    const g = sample(outs(dims), 2);
    const want = maxReference(dims, geometry, x, g);
    const spec = { width, dtype: "f32", dilated: geometry.d !== undefined } as const;
    const words = placeWords(outs(dims), spec);
    const { y, places } = await runKernel(maxPool, { ...spec, places: true }, maxDims, {
      x,
      y: outs(dims),
      places: words,
    });
    close(y!.f32, want.y, { title: "y" });
    const { dx } = await runKernel(maxPoolBackward, spec, maxDims, { g, places: places!.u32, dx: inputs(dims) });
    close(dx!.f32, want.dx, { title: "dx" });
    const plain = await runKernel(maxPool, { ...spec, places: false }, maxDims, { x, y: outs(dims) });
    close(plain["y"]!.f32, want.y, { title: "y without places" });
  });

  for (const includePad of geometry.d ? [] : [0, 1]) {
    test(`avgPool2d ${title} includePad ${includePad}`, async () => {
      const x = sample(inputs(dims));
      const g = sample(outs(dims), 2);
      const y = new Float64Array(outs(dims));
      const dx = new Float64Array(inputs(dims));
      eachCell(dims, fixed(geometry), (out, at, _, count) => {
        const [oy, ox] = [Math.floor(out / dims.c / dims.ow) % dims.oh, Math.floor(out / dims.c) % dims.ow];
        const padded = (o: number, a: 0 | 1, size: number) =>
          Math.min(geometry.k[a], size + 2 * geometry.p[a] - o * geometry.s[a]);
        const cells = includePad ? padded(oy, 0, dims.h) * padded(ox, 1, dims.w) : count;
        y[out] = (y[out] as number) + (x[at] as number) / cells;
        dx[at] = (dx[at] as number) + (g[out] as number) / cells;
      });
      const all = { ...dims, includePad };
      for (const split of [1, 4, 64]) {
        const spec = { width: widthOf(geometry.c), dtype: "f32", adaptive: false, split } as const;
        const got = await runKernel(avgPool, spec, all, { x, y: outs(dims) });
        close(got["y"]!.f32, y, { title: `y, split ${split}` });
      }
      const spec = { width: widthOf(geometry.c), dtype: "f32", adaptive: false } as const;
      const got = await runKernel(avgPoolBackward, spec, all, { g, dx: inputs(dims) });
      close(got["dx"]!.f32, dx, { title: "dx" });
    });
  }
}

for (const dims of [
  { n: 2, h: 8, w: 8, c: 64, oh: 1, ow: 1 },
  { n: 3, h: 7, w: 5, c: 33, oh: 1, ow: 1 },
  { n: 1, h: 7, w: 10, c: 4, oh: 3, ow: 4 },
  { n: 2, h: 3, w: 2, c: 5, oh: 5, ow: 7 },
  { n: 1, h: 6, w: 31, c: 257, oh: 1, ow: 3 },
  // Extent times extent is more than a word holds.
  { n: 1, h: 160_000, w: 1, c: 1, oh: 30_000, ow: 1 },
  { n: 1, h: 1, w: 90_000, c: 1, oh: 2, ow: 70_001 },
]) {
  test(`adaptiveAvgPool2d ${JSON.stringify(dims)}`, async () => {
    const x = sample(inputs(dims));
    const g = sample(outs(dims), 2);
    const y = new Float64Array(outs(dims));
    const dx = new Float64Array(inputs(dims));
    eachCell(dims, adaptive(dims), (out, at, _, count) => {
      y[out] = (y[out] as number) + (x[at] as number) / count;
      dx[at] = (dx[at] as number) + (g[out] as number) / count;
    });
    const spec = { width: widthOf(dims.c), dtype: "f32", adaptive: true } as const;
    const all = { ...dims, ...NO_WINDOW };
    for (const split of [1, 8]) {
      const got = await runKernel(avgPool, { ...spec, split }, all, { x, y: outs(dims) });
      close(got["y"]!.f32, y, { title: `y, split ${split}` });
    }
    const got = await runKernel(avgPoolBackward, spec, all, { g, dx: inputs(dims) });
    close(got["dx"]!.f32, dx, { title: "dx" });
  });
}

test("maxPool2d: a window of -inf gives -inf at its first cell, NaN wins over numbers", async () => {
  const geometry: Geometry = { n: 1, h: 2, w: 6, c: 1, k: [2, 2], s: [2, 2], p: [0, 0] };
  const dims = { ...dimsOf(geometry), dh: 1, dw: 1 };
  const x = new Float32Array([-Infinity, -Infinity, 1, NaN, Infinity, 0, -Infinity, -Infinity, 5, 0, 2, 3]);
  const spec = { width: 1, dtype: "f32", dilated: false } as const;
  const got = await runKernel(maxPool, { ...spec, places: true }, dims, { x, y: 3, places: 3 });
  close(got["y"]!.f32, [-Infinity, NaN, Infinity]);
  assert.equal([...got["places"]!.u32], [0, 1, 0]);
});

test("f16 storage, accumulated in f32", async () => {
  if (!(await hasF16())) return;
  const dims = { n: 1, h: 4, w: 4, c: 4, oh: 1, ow: 1 };
  // 0x3c00 is 1 in f16, 0x6400 is 1024: their sum, 16 x 512.5, is no f16 number, but its mean is.
  const x = Uint16Array.from({ length: 64 }, (_, i) => (i % 8 < 4 ? 0x3c00 : 0x6400));
  const got = await runKernel(
    avgPool,
    { width: 4, dtype: "f16", split: 1, adaptive: true },
    { ...dims, ...NO_WINDOW },
    { x, y: 2 },
  );
  assert.equal([...got["y"]!.u16], [0x6001, 0x6001, 0x6001, 0x6001]);
});
