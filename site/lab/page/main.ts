// The page: a header that says what it runs on, what can be opened, and the four steps.

import { calibrateView } from "./calibrate-view.ts";
import { h } from "./dom.ts";
import { Lab } from "./lab.ts";
import { runView } from "./run-view.ts";
import { tabs } from "./tabs.ts";
import { takeView } from "./take-view.ts";
import { trainView } from "./train-view.ts";

const lab = new Lab();
const run = runView(lab);
const steps = tabs(
  [
    { id: "train", title: "Train", panel: trainView(lab) },
    { id: "calibrate", title: "Calibrate", panel: calibrateView(lab) },
    { id: "run", title: "Run", panel: run.element },
    { id: "take", title: "Take home", panel: takeView(lab) },
  ],
  (step) => lab.store.send({ tell: "shown", step }),
);

const isModel = ({ name }: File): boolean => name.endsWith(".safetensors");
const openFile = (file: File): Promise<void> =>
  lab.openModel(() => lab.asking.ask("load", { name: file.name.replace(/(\.sortie)?\.safetensors$/, ""), file }));
const shipped = (name: string, title: string): HTMLElement =>
  h(
    "button",
    { type: "button", on: { click: () => void lab.openModel(() => lab.asking.ask("shipped", name)) } },
    title,
  );
const file = h("input", {
  ...{ type: "file", accept: ".safetensors", id: "model-file", className: "visually-hidden" },
  on: { change: () => [...(file.files ?? [])].slice(0, 1).map(openFile) },
});

/** What was dropped on the page: a model is opened, pictures are classified. */
function drop(event: DragEvent): void {
  event.preventDefault();
  const dropped = [...(event.dataTransfer?.files ?? [])];
  const model = dropped.find(isModel);
  const pictures = dropped.filter(({ type }) => type.startsWith("image/"));
  if (model) void openFile(model);
  else if (pictures.length > 0) {
    lab.store.send({ tell: "shown", step: "run" });
    run.run(pictures);
  }
}
document.addEventListener("dragover", (event) => event.preventDefault());
document.addEventListener("drop", drop);

const adapter = h("p", { className: "adapter" });
const notice = h("p", { className: "notice", role: "status" });
const at = h("span", { className: "at" });
const openers = h(
  "div",
  { className: "open", role: "group", "aria-label": "Open a classifier" },
  h("span", {}, "Open:"),
  shipped("glyphs", "Glyphs"),
  shipped("fashion-mnist", "Fashion-MNIST"),
  file,
  h("label", { for: "model-file", className: "button" }, "A model file"),
  at,
);
const main = h("main", {}, openers, steps.list, ...steps.panels);
document.body.append(
  h(
    "header",
    {},
    h("h1", {}, "sortie lab"),
    h("p", {}, "Train a classifier that may leave early, find out what can be promised of it, and take it home."),
    adapter,
  ),
  main,
  h("footer", {}, notice),
);
lab.store.watch(({ phase, shown, adapter: name, subject, notice: said }) => {
  const runsOn = phase === "opening" ? "Looking for a GPU ..." : `Runs on ${name}`;
  adapter.textContent = phase === "closed" ? "No WebGPU" : runsOn;
  notice.textContent = said?.text ?? "";
  notice.classList.toggle("fault", said?.isFault === true);
  at.textContent = subject ? `Open now: ${subject.name}` : "";
  steps.show(shown);
  main.inert = phase === "closed";
});

void lab.open();
if ("serviceWorker" in navigator) void navigator.serviceWorker.register("service-worker.js");
