// Step 2: what may go wrong, and how sure that is; thresholds and the promise follow the sliders.

import type { Calibrated, Subject } from "../protocol.ts";
import { latest } from "./asking.ts";
import { field, h, percent } from "./dom.ts";
import { colourOf, nameOf } from "./exit-colours.ts";
import type { Lab } from "./lab.ts";

interface Slider {
  readonly element: HTMLElement;
  readonly input: HTMLInputElement;
}

function slider(label: string, about: string, value: number, changed: () => void): Slider {
  const output = h("output", {}, percent(value));
  const input = h("input", {
    ...{ type: "range", min: "0.005", max: "0.3", step: "0.005", value: String(value) },
    on: {
      input: () => {
        output.textContent = percent(input.valueAsNumber);
        input.setAttribute("aria-valuetext", percent(input.valueAsNumber));
        changed();
      },
    },
  });
  input.setAttribute("aria-valuetext", percent(value));
  const element = field(label, input, h("p", { className: "hint" }, about));
  element.prepend(output);
  return { element, input };
}

export function calibrateView(lab: Lab): HTMLElement {
  const answer = h("div", { className: "answer", "aria-live": "polite" });
  const calibrate = latest(async (subject: Subject) => {
    await lab.attempt(async () => {
      const levels = { alpha: alpha.input.valueAsNumber, delta: delta.input.valueAsNumber };
      answer.replaceChildren(...told(await lab.asking.ask("calibrate", levels), subject));
    });
  });
  const changed = (): void => {
    const { subject } = lab.store.state;
    if (subject) calibrate(subject);
  };
  const alpha = slider(
    "Target risk",
    "Of those that leave at an early exit, at most so many may be answered wrongly.",
    0.05,
    changed,
  );
  const delta = slider("Chance of bad luck", "How likely the calibration images may mislead us.", 0.1, changed);
  const sliders = h("div", { className: "settings" }, alpha.element, delta.element);
  const none = h("p", { className: "empty" });
  let calibrated: Subject | undefined;
  lab.store.watch(({ subject, shown }) => {
    const can = (subject?.calibration ?? 0) > 0;
    sliders.hidden = !can;
    none.hidden = can;
    none.textContent = subject
      ? `${subject.name} came with its promise, and without images to calibrate on. ${subject.guarantee}`
      : "There is nothing to calibrate yet: train a network, or open one above.";
    if (subject === calibrated || shown !== "calibrate") return;
    calibrated = subject;
    answer.replaceChildren(h("p", { className: "empty" }, "The network answers the calibration images ..."));
    if (subject && can) calibrate(subject);
    else answer.replaceChildren();
  });
  return h("section", { className: "split" }, sliders, h("div", { className: "shown" }, none, answer));
}

/** The promise in words, and what it does on test images. */
function told({ isSafe, words, thresholds, tested }: Calibrated, { exits, calibration }: Subject): HTMLElement[] {
  const verdict = h(
    "p",
    { className: isSafe ? "verdict safe" : "verdict unsafe" },
    h("b", {}, isSafe ? "Certified" : "Nothing is safe"),
    ` on ${calibration.toLocaleString("en")} calibration images`,
  );
  const bar = h(
    "div",
    { className: "bar", "aria-hidden": "true" },
    ...tested.exits.map(({ share }, exit) => {
      const part = h("span", { className: "bar-part" }, share > 0.08 ? percent(share, 0) : "");
      part.style.flexGrow = String(share);
      part.style.background = colourOf(exit);
      return part;
    }),
  );
  const head = ["Exit", "Threshold", "Leave here", "Wrong among them", "Costs"].map((text) =>
    h("th", { scope: "col" }, text),
  );
  const whole = exits.at(-1)?.macs ?? 1;
  const rows = tested.exits.map(({ share, error }, exit) =>
    h(
      "tr",
      {},
      h("th", { scope: "row" }, key(exit), nameOf(exit, exits.length)),
      h("td", {}, thresholdOf(thresholds[exit])),
      h("td", {}, percent(share)),
      h("td", {}, share > 0 ? percent(error) : "-"),
      h("td", {}, percent((exits[exit]?.macs ?? whole) / whole, 0)),
    ),
  );
  const figures = h(
    "p",
    { className: "figures" },
    h("b", {}, percent(tested.accuracy)),
    ` right on test images (whole network ${percent(tested.wholeAccuracy)}) at `,
    h("b", {}, percent(tested.cost)),
    " of its cost",
  );
  return [
    verdict,
    h("p", { className: "promise" }, words),
    figures,
    bar,
    h(
      "div",
      { className: "scroll", tabIndex: 0, role: "region", "aria-label": "Exits" },
      h("table", {}, h("thead", {}, h("tr", {}, ...head)), h("tbody", {}, ...rows)),
    ),
  ];
}

/** A spot in the colour of an exit. */
function key(exit: number): HTMLElement {
  const spot = h("span", { className: "key", "aria-hidden": "true" });
  spot.style.background = colourOf(exit);
  return spot;
}

function thresholdOf(threshold: number | undefined): string {
  if (threshold === undefined) return "none";
  return Number.isFinite(threshold) ? threshold.toFixed(3) : "nobody leaves";
}
