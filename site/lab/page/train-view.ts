// Step 1: what to train on and how, the curves, pause and resume.

import type { Choice, ImageSource, Settings } from "../protocol.ts";
import { chart } from "./chart.ts";
import { field, h } from "./dom.ts";
import type { Lab } from "./lab.ts";
import { ownClasses } from "./own-classes.ts";
import type { State } from "./state.ts";

const SOURCES: readonly Choice[] = [
  { name: "glyphs", title: "Glyphs", about: "Ten signs, drawn by code: easy ones and hard ones." },
  { name: "drawn", title: "Your drawings", about: "Draw some signs for each class." },
  { name: "pictures", title: "Your pictures", about: "Drop some pictures for each class. They stay in this browser." },
];
const SAMPLES = [512, 2000, 8000] as const;

const option = ({ name, title }: Pick<Choice, "name" | "title">): HTMLOptionElement =>
  h("option", { value: name }, title);

export function trainView(lab: Lab): HTMLElement {
  const form = settingsForm(lab);
  const start = h("button", { type: "submit", className: "primary" }, "Train");
  const pause = h("button", { type: "button", on: { click: () => void lab.pause() } }, "Pause");
  const forget = h("button", { type: "button", on: { click: () => void lab.forget() } }, "Forget");
  const progress = h("progress", { max: 1, value: 0, "aria-label": "Training" });
  const where = h("span", { className: "where" });
  const curves = chart();
  const empty = h("p", { className: "empty" }, "The accuracy of each exit will be drawn here while it learns.");
  start.setAttribute("form", form.element.id);
  const actions = h("div", { className: "actions" }, start, pause, forget);
  const course = h("div", { className: "progress" }, progress, where);
  const shown = h("div", { className: "shown" }, actions, course, empty, curves.element);
  form.element.addEventListener("submit", (event) => {
    event.preventDefault();
    const { phase, settings } = lab.store.state;
    void lab.train(phase === "paused" && settings ? settings : form.settings());
  });
  lab.store.watch((state) => {
    const { phase, step, steps, secondsLeft } = state;
    const runs = phase === "training" || phase === "pausing";
    form.update(state);
    start.textContent = phase === "paused" ? "Resume" : "Train";
    start.disabled = runs || phase === "opening" || phase === "closed";
    pause.disabled = phase !== "training";
    forget.disabled = runs || state.settings === undefined;
    course.hidden = steps === 0;
    progress.value = steps > 0 ? step / steps : 0;
    const left = runs && secondsLeft !== undefined ? `, about ${Math.ceil(secondsLeft)} s left` : "";
    where.textContent = steps > 0 ? `step ${step} of ${steps}${left}` : "";
    curves.update(state.points, steps);
    empty.hidden = state.points.length > 0;
  });
  return h("section", { className: "split" }, form.element, shown);
}

function settingsForm(lab: Lab) {
  const source = h("select", {}, ...SOURCES.map(option));
  const about = h("p", { className: "hint" });
  const samples = h("select", {}, ...SAMPLES.map((n) => option({ name: String(n), title: n.toLocaleString("en") })));
  samples.value = "2000";
  const backbone = h("select");
  const backboneAbout = h("p", { className: "hint" });
  const method = h("select");
  const methodAbout = h("p", { className: "hint" });
  const stages = h("fieldset", { className: "stages" }, h("legend", {}, "Early exits after"));
  const epochs = h("input", { type: "number", min: "1", max: "100", value: "4", required: true });
  const samplesField = field("Images", samples);
  const own = ownClasses(lab);
  const inputs = [source, samples, backbone, method, epochs];

  const shownSource = (): void => {
    const chosen = source.value as ImageSource;
    about.textContent = SOURCES.find(({ name }) => name === chosen)?.about ?? "";
    samplesField.hidden = chosen !== "glyphs";
    own.show(chosen === "glyphs" ? undefined : chosen);
  };
  const shownMethod = (): void => {
    methodAbout.textContent = lab.store.state.choices?.methods.find(({ name }) => name === method.value)?.about ?? "";
  };
  const shownStages = (): void => {
    const found = lab.store.state.choices?.backbones.find(({ name }) => name === backbone.value);
    const boxes = (found?.stages ?? []).map((stage) =>
      h("label", {}, h("input", { type: "checkbox", value: stage, checked: true }), ` ${stage}`),
    );
    backboneAbout.textContent = found?.about ?? "";
    stages.replaceChildren(h("legend", {}, "Early exits after"), ...boxes);
  };
  source.addEventListener("change", shownSource);
  method.addEventListener("change", shownMethod);
  backbone.addEventListener("change", shownStages);

  const checked = (): HTMLInputElement[] => [...stages.querySelectorAll("input")];
  let isFilled = false;
  const fill = ({ choices, settings }: State): void => {
    if (isFilled || !choices) return;
    isFilled = true;
    backbone.replaceChildren(...choices.backbones.map(option));
    method.replaceChildren(...choices.methods.map(option));
    backbone.value = settings?.backbone ?? "small";
    method.value = settings?.method ?? "soft-cgt";
    source.value = settings?.images ?? "glyphs";
    if (settings) Object.assign(samples, { value: String(settings.samples) });
    if (settings) Object.assign(epochs, { value: String(settings.epochs) });
    shownStages();
    for (const box of checked()) box.checked = settings?.exits.includes(box.value) ?? true;
    shownMethod();
    shownSource();
  };
  const element = h(
    "form",
    { className: "settings", id: "settings" },
    field("Train on", source, about),
    samplesField,
    own.element,
    field("Network", backbone, backboneAbout),
    stages,
    field("Method", method, methodAbout),
    field("Epochs", epochs),
  );
  return {
    element,
    settings: (): Settings => ({
      images: source.value as ImageSource,
      samples: Number(samples.value),
      backbone: backbone.value,
      exits: checked().flatMap((box) => (box.checked ? [box.value] : [])),
      method: method.value,
      epochs: Number(epochs.value),
      seed: 1,
    }),
    update(state: State): void {
      fill(state);
      const isFixed = state.phase !== "ready";
      for (const input of [...inputs, ...checked()]) input.disabled = isFixed;
    },
  };
}
