// Step 3: pictures go through the network - drawn, dropped, from the camera - and a grid of test images.

import type { Picture, Ran, Subject } from "../protocol.ts";
import { latest } from "./asking.ts";
import { camera } from "./camera.ts";
import { h, milliseconds, percent } from "./dom.ts";
import { drawPad } from "./draw-pad.ts";
import { colourOf, nameOf } from "./exit-colours.ts";
import { gridView } from "./grid-view.ts";
import type { Lab } from "./lab.ts";

/** Step 3, and what it makes of dropped pictures. */
export interface RunView {
  readonly element: HTMLElement;
  run(files: readonly File[]): void;
}

export function runView(lab: Lab): RunView {
  const answer = h("div", { className: "answer", "aria-live": "polite" });
  const run = latest(async (pictures: readonly Picture[]) => {
    await lab.attempt(async () => {
      const { subject } = lab.store.state;
      if (!subject) throw new Error("There is no classifier yet: train one, or open one above.");
      answer.replaceChildren(told(await lab.asking.ask("run", pictures), pictures, subject));
    });
  });
  const pad = drawPad("A sign to classify", () => {
    const drawn = pad.pixels();
    if (drawn) run([drawn]);
  });
  const clear = h("button", { type: "button", on: { click: pad.clear } }, "Clear");
  const files = h("input", {
    ...{ type: "file", accept: "image/*", multiple: true, "aria-label": "Pictures to classify" },
    on: { change: () => run([...(files.files ?? [])]) },
  });
  const seen = camera(
    (frame) => run([frame]),
    (why) => lab.store.send({ tell: "failed", why, endsTraining: false }),
  );
  const ways = h(
    "div",
    { className: "settings" },
    h("h2", {}, "Draw"),
    h("div", { className: "drawing" }, pad.element, clear),
    h("h2", {}, "Or choose pictures, or drop them anywhere"),
    files,
    h("h2", {}, "Or use the camera"),
    seen.element,
  );
  const empty = h("p", { className: "what" });
  const grid = gridView(lab);
  lab.store.watch(({ subject }) => {
    empty.textContent = subject
      ? `${subject.name} tells ${subject.classes.join(", ")}. Draw one of these.`
      : "There is no classifier yet: train one, or open one above.";
    ways.hidden = subject === undefined;
  });
  const element = h(
    "section",
    {},
    h("div", { className: "split" }, ways, h("div", { className: "shown" }, empty, answer)),
    grid,
  );
  return { element, run: (given) => run(given) };
}

/** Answers for pictures. */
function told({ answers, ms, wholeMs }: Ran, pictures: readonly Picture[], { exits }: Subject): HTMLElement {
  const items = answers.map(({ label, exit, stage, cost, score }, i) => {
    const badge = h("span", { className: "badge" }, nameOf(exit, exits.length));
    badge.style.background = colourOf(exit);
    return h(
      "li",
      {},
      thumbnail(pictures[i]),
      h(
        "span",
        { className: "said" },
        h("b", {}, label),
        h("br"),
        badge,
        ` ${stage}, ${percent(cost, 0)} of the cost, score ${score.toFixed(3)}`,
      ),
    );
  });
  const times = `${milliseconds(ms)} through the exits, ${milliseconds(wholeMs)} through the whole network`;
  return h("div", {}, h("ul", { className: "answers" }, ...items), h("p", { className: "hint" }, times));
}

/** A small picture of a file; of others there is none, since they are still to be seen. */
function thumbnail(picture: Picture | undefined): HTMLElement | undefined {
  if (!(picture instanceof Blob)) return undefined;
  const image = h("img", { alt: "", src: URL.createObjectURL(picture) });
  image.addEventListener("load", () => URL.revokeObjectURL(image.src));
  return image;
}
