// The curves of a training: the accuracy of each exit over the steps, as training and validation images have it.

import type { Point } from "../protocol.ts";
import { h, percent, s } from "./dom.ts";
import { colourOf, dashOf, nameOf } from "./exit-colours.ts";

const [WIDTH, HEIGHT] = [640, 260];
const FRAME = { left: 44, right: 12, top: 10, bottom: 30 };

/** A chart, and what draws it anew. */
export interface Chart {
  readonly element: HTMLElement;
  update(points: readonly Point[], steps: number): void;
}

export function chart(): Chart {
  const plot = s("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: "img" });
  const legend = h("ul", { className: "legend" });
  const element = h("figure", { className: "chart" }, plot, legend);
  let drawn: readonly Point[] | undefined;
  return {
    element,
    update(points, steps) {
      if (drawn === points) return;
      drawn = points;
      element.hidden = points.length === 0;
      plot.replaceChildren(...axes(steps), ...curves(points, steps));
      const last = points.at(-1)?.accuracy ?? [];
      const said = last.map((accuracy, exit) => `${nameOf(exit, last.length)} ${percent(accuracy)}`);
      plot.setAttribute("aria-label", `Accuracy over the steps of training. ${said.join(", ")}.`);
      legend.replaceChildren(...last.map((accuracy, exit) => legendItem(exit, last.length, accuracy)));
    },
  };
}

function legendItem(exit: number, exits: number, accuracy: number): HTMLElement {
  const line = s("line", { x1: 0, y1: 6, x2: 28, y2: 6, class: "curve", "stroke-dasharray": dashOf(exit) });
  line.style.stroke = colourOf(exit);
  const swatch = s("svg", { viewBox: "0 0 28 12", width: 28, height: 12, "aria-hidden": "true" }, line);
  return h("li", {}, swatch, ` ${nameOf(exit, exits)} `, h("b", {}, percent(accuracy)));
}

const x = (step: number, steps: number): number =>
  FRAME.left + (WIDTH - FRAME.left - FRAME.right) * (steps > 0 ? step / steps : 0);
const y = (share: number): number => HEIGHT - FRAME.bottom - (HEIGHT - FRAME.top - FRAME.bottom) * share;

function axes(steps: number): SVGElement[] {
  const shares = [0, 0.25, 0.5, 0.75, 1].flatMap((share) => [
    s("line", { x1: FRAME.left, x2: WIDTH - FRAME.right, y1: y(share), y2: y(share), class: "rule" }),
    s("text", { x: FRAME.left - 8, y: y(share) + 4, class: "tick end" }, `${100 * share} %`),
  ]);
  const ends = [0, steps].map((step) =>
    s("text", { x: x(step, steps), y: HEIGHT - 8, class: step === 0 ? "tick" : "tick end" }, `step ${step}`),
  );
  return [...shares, ...ends];
}

function curves(points: readonly Point[], steps: number): SVGElement[] {
  const exits = points[0]?.accuracy.length ?? 0;
  return Array.from({ length: exits }, (_, exit) => exit).flatMap((exit) => {
    const at = (kind: Point["kind"]) =>
      points
        .filter((point) => point.kind === kind)
        .map((point) => [x(point.step, steps), y(point.accuracy[exit] ?? 0)] as const);
    const path = at("train").map(([px, py]) => `${px.toFixed(1)},${py.toFixed(1)}`);
    const line = s("polyline", { points: path.join(" "), class: "curve", "stroke-dasharray": dashOf(exit) });
    line.style.stroke = colourOf(exit);
    const dots = at("evaluation").map(([cx, cy]) => {
      const dot = s("circle", { cx, cy, r: 4, class: "dot" });
      dot.style.fill = colourOf(exit);
      return dot;
    });
    return [line, ...dots];
  });
}
