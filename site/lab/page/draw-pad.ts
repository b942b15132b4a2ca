// A pad to draw on: by mouse, pen or finger, and by keys - arrows move the pen, the space bar puts it down and lifts it.

import { h } from "./dom.ts";

/** Pixels of the pad's side. */
const SIDE = 280;
/** A line of a glyph's strength. */
const PEN = 22;
/** Pixels that an arrow moves the pen by. */
const STEP = 10;

/** A pad, what is on it, and when that changes. */
export interface DrawPad {
  readonly element: HTMLElement;
  /** What is on it. */
  pixels(): ImageData | undefined;
  clear(): void;
}

/** @param changed Called when a stroke ends. */
export function drawPad(label: string, changed: () => void): DrawPad {
  const canvas = h("canvas", {
    ...{ className: "pad", width: SIDE, height: SIDE, tabIndex: 0, role: "application" },
    "aria-label": `${label}. Arrow keys move the pen, the space bar puts it down or lifts it, Delete clears.`,
  });
  const cursor = h("span", { className: "cursor", "aria-hidden": "true" });
  const element = h("div", { className: "pad-frame" }, canvas, cursor);
  const context = canvas.getContext("2d", { willReadFrequently: true });
  const pen = { x: SIDE / 2, y: SIDE / 2, isDown: false };

  const clear = (): void => {
    if (!context) return;
    context.fillStyle = "black";
    context.fillRect(0, 0, SIDE, SIDE);
  };
  const lineTo = (x: number, y: number): void => {
    if (context && pen.isDown) {
      Object.assign(context, { strokeStyle: "white", lineWidth: PEN, lineCap: "round", lineJoin: "round" });
      context.beginPath();
      context.moveTo(pen.x, pen.y);
      context.lineTo(x, y);
      context.stroke();
    }
    Object.assign(pen, { x, y });
    cursor.style.left = `${(100 * x) / SIDE}%`;
    cursor.style.top = `${(100 * y) / SIDE}%`;
  };
  const put = (isDown: boolean): void => {
    const ends = pen.isDown && !isDown;
    pen.isDown = isDown;
    cursor.classList.toggle("down", isDown);
    if (isDown) lineTo(pen.x, pen.y);
    if (ends) changed();
  };
  const place = ({ offsetX, offsetY }: PointerEvent): readonly [number, number] => [
    (offsetX * SIDE) / canvas.clientWidth,
    (offsetY * SIDE) / canvas.clientHeight,
  ];

  canvas.addEventListener("pointerdown", (event) => {
    canvas.setPointerCapture(event.pointerId);
    lineTo(...place(event));
    put(true);
  });
  canvas.addEventListener("pointermove", (event) => {
    if (event.buttons > 0) lineTo(...place(event));
  });
  canvas.addEventListener("pointerup", () => put(false));
  canvas.addEventListener("keydown", (event) => {
    const moves: Readonly<Record<string, readonly [number, number]>> = {
      ArrowLeft: [-STEP, 0],
      ArrowRight: [STEP, 0],
      ArrowUp: [0, -STEP],
      ArrowDown: [0, STEP],
    };
    const move = moves[event.key];
    if (move) lineTo(clamp(pen.x + move[0]), clamp(pen.y + move[1]));
    else if (event.key === " ") put(!pen.isDown);
    else if (event.key === "Delete") clear();
    else return;
    event.preventDefault();
  });
  canvas.addEventListener("blur", () => put(false));
  clear();
  lineTo(pen.x, pen.y);
  return { element, pixels: () => context?.getImageData(0, 0, SIDE, SIDE), clear };
}

const clamp = (value: number): number => Math.min(SIDE, Math.max(0, value));
