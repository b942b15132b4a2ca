// A small rasteriser: shapes are signed distances (negative inside), drawn with a soft edge of one pixel.
// Only + - * / and square roots, so the same picture comes out everywhere.

/** The signed distance of (x, y) to a shape's edge, negative inside. */
export type Shape = (x: number, y: number) => number;

/** A grey picture whose values are blended, [height, width]. */
export interface Canvas {
  readonly width: number;
  readonly height: number;
  readonly pixels: Float64Array;
}

/** Where a shape is put: its unit is `scale` pixels long, turned by (sin, cos), with its origin at (x, y). */
export interface Placement {
  readonly x: number;
  readonly y: number;
  readonly scale: number;
  readonly sin: number;
  readonly cos: number;
  /** Nothing of the shape lies farther from its origin than this, in its units; only saves time. */
  readonly reach?: number;
}

/** Blends `level` into the pixels that `shape` covers, by the share of `opacity`. */
export function draw(canvas: Canvas, shape: Shape, place: Placement, level: number, opacity = 1): void {
  const { width, height, pixels } = canvas;
  const { scale, sin, cos, reach = Number.POSITIVE_INFINITY } = place;
  const extent = reach * scale + 1;
  const lastRow = Math.min(height - 1, Math.ceil(place.y + extent));
  const lastColumn = Math.min(width - 1, Math.ceil(place.x + extent));
  for (let row = Math.max(0, Math.floor(place.y - extent)); row <= lastRow; row++) {
    for (let column = Math.max(0, Math.floor(place.x - extent)); column <= lastColumn; column++) {
      const dx = (column + 0.5 - place.x) / scale;
      const dy = (row + 0.5 - place.y) / scale;
      const distance = shape(dx * cos + dy * sin, dy * cos - dx * sin) * scale;
      if (distance >= 0.5) continue;
      const cover = (distance <= -0.5 ? 1 : 0.5 - distance) * opacity;
      const at = row * width + column;
      pixels[at] = pixels[at]! + (level - pixels[at]!) * cover;
    }
  }
}

/** A filled circle. */
export const disc =
  (cx: number, cy: number, radius: number): Shape =>
  (x, y) =>
    Math.sqrt((x - cx) * (x - cx) + (y - cy) * (y - cy)) - radius;

/** A filled rectangle around (cx, cy) with half sides a and b; the distance outside is that to the nearer side. */
export const box =
  (cx: number, cy: number, a: number, b: number): Shape =>
  (x, y) =>
    Math.max(Math.abs(x - cx) - a, Math.abs(y - cy) - b);

/** Only the edge of `shape`, drawn by a pen of half width `pen`. */
export const outline =
  (shape: Shape, pen: number): Shape =>
  (x, y) =>
    Math.abs(shape(x, y)) - pen;

/** All of the shapes. */
export const union =
  (...shapes: readonly Shape[]): Shape =>
  (x, y) => {
    let least = Number.POSITIVE_INFINITY;
    for (const shape of shapes) least = Math.min(least, shape(x, y));
    return least;
  };

/** Points [x0, y0, x1, y1, ...] joined by a pen of half width `pen`. */
export function polyline(points: readonly number[], pen: number): Shape {
  const sides = sidesOf(points).slice(0, -1);
  return (x, y) => {
    let least = Number.POSITIVE_INFINITY;
    for (const side of sides) least = Math.min(least, segmentSquare(side, x, y));
    return Math.sqrt(least) - pen;
  };
}

/** The inside of the closed polygon [x0, y0, x1, y1, ...], by the even-odd rule. */
export function polygon(points: readonly number[]): Shape {
  const sides = sidesOf(points);
  return (x, y) => {
    let least = Number.POSITIVE_INFINITY;
    let isInside = false;
    for (const side of sides) {
      least = Math.min(least, segmentSquare(side, x, y));
      const [ax, ay, bx, by] = side;
      if (ay > y !== by > y && x < ax + ((y - ay) / (by - ay)) * (bx - ax)) isInside = !isInside;
    }
    return isInside ? -Math.sqrt(least) : Math.sqrt(least);
  };
}

/** From one point to another. */
type Side = readonly [ax: number, ay: number, bx: number, by: number];

/** From each of the points [x0, y0, x1, y1, ...] to the next, and from the last to the first. */
function sidesOf(points: readonly number[]): Side[] {
  const at = (i: number): number => points[i % points.length]!;
  return Array.from({ length: points.length / 2 }, (_, k) => [at(2 * k), at(2 * k + 1), at(2 * k + 2), at(2 * k + 3)]);
}

/** The squared distance of (x, y) to a side. */
function segmentSquare([ax, ay, toX, toY]: Side, x: number, y: number): number {
  const bx = toX - ax;
  const by = toY - ay;
  const px = x - ax;
  const py = y - ay;
  const along = Math.min(1, Math.max(0, (px * bx + py * by) / (bx * bx + by * by)));
  const dx = px - bx * along;
  const dy = py - by * along;
  return dx * dx + dy * dy;
}
