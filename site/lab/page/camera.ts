// The camera: some frames a second, for as long as it is on.

import { h } from "./dom.ts";

/** Milliseconds between frames. */
const EVERY = 300;

export function camera(
  frame: (picture: ImageBitmap) => void,
  fail: (why: string) => void,
): { readonly element: HTMLElement } {
  const video = h("video", { muted: true, playsInline: true, hidden: true, "aria-label": "The camera" });
  const button = h("button", { type: "button", on: { click: () => void toggle() } }, "Start the camera");
  let stream: MediaStream | undefined;
  let timer: ReturnType<typeof setInterval> | undefined;

  function stop(): void {
    clearInterval(timer);
    for (const track of stream?.getTracks() ?? []) track.stop();
    stream = undefined;
    video.hidden = true;
    button.textContent = "Start the camera";
  }

  async function toggle(): Promise<void> {
    if (stream) return stop();
    // One at a time: the browser asks, and what it asks may wait.
    button.disabled = true;
    try {
      stream = await navigator.mediaDevices.getUserMedia({ video: { width: 320, height: 320 } });
      video.srcObject = stream;
      video.hidden = false;
      button.textContent = "Stop the camera";
      await video.play();
      timer = setInterval(() => void createImageBitmap(video).then(frame, () => undefined), EVERY);
    } catch (error) {
      stop();
      fail(`The camera cannot be used: ${(error as Error).message}`);
    } finally {
      button.disabled = false;
    }
  }
  return { element: h("div", { className: "camera" }, video, button) };
}
