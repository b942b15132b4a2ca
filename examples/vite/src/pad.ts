// A canvas to draw on: white on black, as the training images are.

/** Lets people draw on a canvas by mouse, pen or finger; `changed` is called when a stroke ends. */
export function drawOn(canvas: HTMLCanvasElement, changed: () => void): { clear(): void } {
  const context = canvas.getContext("2d");
  if (!context) throw new Error("This browser gives no 2D canvas.");
  const clear = (): void => {
    context.fillStyle = "black";
    context.fillRect(0, 0, canvas.width, canvas.height);
  };
  const place = ({ offsetX, offsetY }: PointerEvent): [x: number, y: number] => [
    (offsetX * canvas.width) / canvas.clientWidth,
    (offsetY * canvas.height) / canvas.clientHeight,
  ];
  canvas.addEventListener("pointerdown", (event) => {
    canvas.setPointerCapture(event.pointerId);
    Object.assign(context, { strokeStyle: "white", lineWidth: canvas.width / 13, lineCap: "round", lineJoin: "round" });
    context.beginPath();
    context.moveTo(...place(event));
  });
  canvas.addEventListener("pointermove", (event) => {
    if (!canvas.hasPointerCapture(event.pointerId)) return;
    context.lineTo(...place(event));
    context.stroke();
  });
  canvas.addEventListener("pointerup", changed);
  clear();
  return { clear };
}
