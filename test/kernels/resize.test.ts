// Resizing kernels and their gradients against float64.

import { resize, resizeBackward, resizePositions } from "../../kernels/resize.ts";
import { adapterSuite } from "../gpu.ts";
import { assert } from "../harness.ts";
import { close, runKernel, sample } from "./lab.ts";

type Mode = "nearest" | "bilinear";

interface Axis {
  readonly size: number;
  readonly out: number;
  readonly scale?: number;
}

/** PyTorch's formulas in float64: the cells that output `o` reads, with their weights. */
function taps(
  { size, out, scale }: Axis,
  mode: Mode,
  alignCorners: boolean,
  o: number,
): [cell: number, weight: number][] {
  const ratio = scale === undefined ? size / out : 1 / scale;
  // 1e-9 keeps a quotient that is whole in exact arithmetic from falling below it.
  if (mode === "nearest") return [[Math.min(Math.floor(o * ratio + 1e-9), size - 1), 1]];
  const aligned = out > 1 ? (o * (size - 1)) / (out - 1) : 0;
  const at = alignCorners ? aligned : Math.max((o + 0.5) * ratio - 0.5, 0);
  const cell = Math.min(Math.floor(at), size - 1);
  return [
    [cell, 1 - (at - cell)],
    [Math.min(cell + 1, size - 1), at - cell],
  ];
}

interface Row {
  readonly n: number;
  readonly c: number;
  readonly h: Axis;
  readonly w: Axis;
}

const scaled = (size: number, scale: number): Axis => ({ size, out: Math.floor(size * scale), scale });

const rows: readonly Row[] = [
  { n: 2, c: 4, h: scaled(5, 2), w: scaled(3, 2) },
  { n: 1, c: 33, h: scaled(7, 0.5), w: scaled(9, 1.5) },
  { n: 1, c: 8, h: { size: 7, out: 3 }, w: { size: 4, out: 31 } },
  { n: 1, c: 1, h: scaled(13, 1.37), w: scaled(11, Math.SQRT1_2) },
  { n: 3, c: 4, h: { size: 1, out: 5 }, w: { size: 6, out: 1 } },
  { n: 1, c: 257, h: { size: 3, out: 3 }, w: { size: 2, out: 7 } },
  { n: 1, c: 4, h: { size: 49, out: 147 }, w: { size: 64, out: 21 } },
  { n: 0, c: 4, h: { size: 2, out: 4 }, w: { size: 2, out: 4 } },
  { n: 1, c: 1, h: scaled(2, 4999.5), w: scaled(1, 1) },
  // Size times size is more than a word holds.
  { n: 1, c: 1, h: { size: 50_000, out: 44_101 }, w: { size: 1, out: 1 } },
  { n: 1, c: 4, h: { size: 1, out: 2 }, w: { size: 44_101, out: 50_000 } },
  { n: 1, c: 1, h: { size: 200_003, out: 199_999 }, w: { size: 1, out: 1 } },
];

const test = adapterSuite("resize");

for (const { n, c, h, w } of rows) {
  for (const [mode, alignCorners] of [
    ["nearest", false],
    ["bilinear", false],
    ["bilinear", true],
  ] as const) {
    test(`${mode}${alignCorners ? " aligned" : ""} ${JSON.stringify({ n, c, h, w })}`, async () => {
      const x = sample(n * h.size * w.size * c);
      const g = sample(n * h.out * w.out * c, 2);
      const y = new Float64Array(g.length);
      const dx = new Float64Array(x.length);
      for (let b = 0; b < n; b++)
        for (let oy = 0; oy < h.out; oy++)
          for (let ox = 0; ox < w.out; ox++)
            for (const [cy, wy] of taps(h, mode, alignCorners, oy))
              for (const [cx, wx] of taps(w, mode, alignCorners, ox))
                for (let ch = 0; ch < c; ch++) {
                  const out = ((b * h.out + oy) * w.out + ox) * c + ch;
                  const at = ((b * h.size + cy) * w.size + cx) * c + ch;
                  y[out] = (y[out] as number) + wy * wx * (x[at] as number);
                  dx[at] = (dx[at] as number) + wy * wx * (g[out] as number);
                }
      const ph = resizePositions(h.size, h.out, { mode, alignCorners, ...(h.scale && { scale: h.scale }) });
      const pw = resizePositions(w.size, w.out, { mode, alignCorners, ...(w.scale && { scale: w.scale }) });
      const dims = {
        n,
        h: h.size,
        w: w.size,
        c,
        oh: h.out,
        ow: w.out,
        stepH: ph.step,
        offsetH: ph.offset,
        unitH: ph.unit,
        stepW: pw.step,
        offsetW: pw.offset,
        unitW: pw.unit,
      };
      const spec = { mode, width: c % 4 === 0 ? 4 : 1, dtype: "f32" } as const;
      const forward = await runKernel(resize, spec, dims, { x, y: y.length });
      close(forward["y"]!.f32, y, { title: "y", atol: 3e-6 });
      const backward = await runKernel(resizeBackward, spec, dims, { g, dx: dx.length });
      close(backward["dx"]!.f32, dx, { title: "dx", atol: 1e-5 });
    });
  }
}

test("positions of usual scales are exact fractions", () => {
  assert.equal(resizePositions(5, 15, { mode: "nearest", alignCorners: false, scale: 3 }), {
    step: 1,
    offset: 0,
    unit: 3,
  });
  assert.equal(resizePositions(8, 12, { mode: "nearest", alignCorners: false, scale: 1.5 }), {
    step: 2,
    offset: 0,
    unit: 3,
  });
  const fraction = (size: number, scale: number) =>
    resizePositions(size, Math.floor(size * scale), { mode: "nearest", alignCorners: false, scale });
  assert.equal(fraction(3, 5000), { step: 1, offset: 0, unit: 5000 });
  assert.equal(fraction(20_000, 1.0001), { step: 10_000, offset: 0, unit: 10_001 });
  assert.equal(fraction(1_000_000, 0.12345), { step: 20_000, offset: 0, unit: 2469 });
  assert.equal(resizePositions(6, 4, { mode: "bilinear", alignCorners: false }), { step: 6, offset: 1, unit: 4 });
  assert.equal(resizePositions(6, 4, { mode: "bilinear", alignCorners: true }), { step: 5, offset: 0, unit: 3 });
  assert.equal(resizePositions(6, 1, { mode: "bilinear", alignCorners: true }), { step: 0, offset: 0, unit: 1 });
});
