// Test images in a grid, each framed in the colour of the exit that it left at; one can be looked at by mouse or keys.

import type { Grid, Subject } from "../protocol.ts";
import { h, milliseconds, percent } from "./dom.ts";
import { colourOf, nameOf } from "./exit-colours.ts";
import type { Lab } from "./lab.ts";

/** Pixels around each image. */
const FRAME = 2;

export function gridView(lab: Lab): HTMLElement {
  const summary = h("div", { "aria-live": "polite" });
  const canvas = h("canvas", { className: "grid", tabIndex: 0, role: "application", hidden: true });
  canvas.setAttribute("aria-label", "Test images. Arrow keys move from one to the next.");
  const one = h("p", { className: "one", "aria-live": "polite" });
  const button = h("button", { type: "button", className: "primary", on: { click: () => void show() } });
  let grid: Grid | undefined;
  let at = 0;

  const show = (): Promise<void> =>
    lab.attempt(async () => {
      const { subject } = lab.store.state;
      if (!subject) return;
      summary.replaceChildren(h("p", {}, "Running, through the exits and through the whole network ..."));
      grid = await lab.asking.ask("grid");
      at = 0;
      canvas.hidden = false;
      draw(canvas, grid, subject, at);
      summary.replaceChildren(told(grid, subject));
      one.textContent = "Choose an image to see what became of it.";
    });
  const look = (next: number): void => {
    const { subject } = lab.store.state;
    if (!grid || !subject) return;
    at = Math.min(grid.exits.length - 1, Math.max(0, next));
    draw(canvas, grid, subject, at);
    const [label, answer, exit] = [grid.labels[at]!, grid.answers[at]!, grid.exits[at]!];
    const verdict = answer === label ? "right" : `wrong: it is ${subject.classes[label]}`;
    one.textContent = `Image ${at + 1}: ${subject.classes[answer]}, ${verdict}; left at ${nameOf(exit, subject.exits.length)}.`;
  };
  canvas.addEventListener("click", ({ offsetX, offsetY }) => {
    if (!grid) return;
    const { columns } = grid;
    const side = canvas.clientWidth / columns;
    const tall = canvas.clientHeight / Math.ceil(grid.exits.length / columns);
    look(Math.floor(offsetY / tall) * columns + Math.floor(offsetX / side));
  });
  canvas.addEventListener("keydown", (event) => {
    const moves: Readonly<Record<string, number>> = {
      ...{ ArrowLeft: -1, ArrowRight: 1 },
      ...{ ArrowUp: -(grid?.columns ?? 1), ArrowDown: grid?.columns ?? 1 },
    };
    const move = moves[event.key];
    if (move === undefined) return;
    event.preventDefault();
    look(at + move);
  });
  let shown: Subject | undefined;
  const element = h(
    "div",
    { className: "grid-view" },
    h("h2", {}, "Test images by exit"),
    button,
    summary,
    h("div", { className: "sheet" }, canvas),
    one,
  );
  lab.store.watch(({ subject }) => {
    element.hidden = (subject?.test ?? 0) === 0;
    button.textContent = `Run ${Math.min(1000, subject?.test ?? 0).toLocaleString("en")} test images`;
    if (subject === shown) return;
    shown = subject;
    grid = undefined;
    canvas.hidden = true;
    summary.replaceChildren();
    one.textContent = "";
  });
  return element;
}

function told({ exits, answers, labels, ms, wholeMs, cost }: Grid, { exits: stages }: Subject): HTMLElement {
  const right = answers.filter((answer, i) => answer === labels[i]).length / labels.length;
  const items = stages.map((_, exit) => {
    const share = exits.filter((each) => each === exit).length / exits.length;
    const key = h("span", { className: "key", "aria-hidden": "true" });
    key.style.background = colourOf(exit);
    return h("li", {}, key, ` ${nameOf(exit, stages.length)} `, h("b", {}, percent(share)));
  });
  const times = `${percent(right)} are right, at ${percent(cost)} of the cost; ${milliseconds(ms)} through the exits, ${milliseconds(wholeMs)} through the whole network.`;
  return h("div", {}, h("ul", { className: "legend" }, ...items), h("p", { className: "figures" }, times));
}

/** Draws all images in their frames: right ones plain, wrong ones crossed out, the chosen one bright. */
function draw(canvas: HTMLCanvasElement, grid: Grid, { input }: Subject, chosen: number): void {
  const { sheet, columns, exits, labels, answers } = grid;
  const [height, width] = input;
  const [w, t] = [width + 2 * FRAME, height + 2 * FRAME];
  canvas.width = columns * w;
  canvas.height = Math.ceil(exits.length / columns) * t;
  const context = canvas.getContext("2d");
  if (!context) return;
  const style = getComputedStyle(document.documentElement);
  const colours = Array.from({ length: 4 }, (_, exit) => style.getPropertyValue(colourOf(exit).slice(4, -1)));
  for (const [i, exit] of exits.entries()) {
    const [column, row] = [i % columns, Math.floor(i / columns)];
    context.fillStyle = colours[Math.min(exit, 3)]!;
    context.fillRect(column * w, row * t, w, t);
    context.drawImage(
      sheet,
      column * width,
      row * height,
      width,
      height,
      column * w + FRAME,
      row * t + FRAME,
      width,
      height,
    );
    if (answers[i] !== labels[i]) cross(context, column * w + FRAME, row * t + FRAME, width, height);
  }
  context.lineWidth = 4;
  context.strokeStyle = style.getPropertyValue("--text");
  context.strokeRect((chosen % columns) * w, Math.floor(chosen / columns) * t, w, t);
}

function cross(context: CanvasRenderingContext2D, x: number, y: number, width: number, height: number): void {
  context.lineWidth = 2;
  context.strokeStyle = "#ff5a4f";
  context.beginPath();
  context.moveTo(x + 3, y + 3);
  context.lineTo(x + width - 3, y + height - 3);
  context.moveTo(x + width - 3, y + 3);
  context.lineTo(x + 3, y + height - 3);
  context.stroke();
}
