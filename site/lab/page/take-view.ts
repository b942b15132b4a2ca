// Step 4: the classifier as files.

import type { SavedFile, TakeHome } from "../protocol.ts";
import { h } from "./dom.ts";
import type { Lab } from "./lab.ts";

const WAYS: readonly { readonly what: TakeHome; readonly title: string; readonly about: string }[] = [
  {
    what: "model",
    title: "Model file",
    about: "Weights, thresholds and the promise in one file. load() reads it, in Node and in a page; so does this lab.",
  },
  {
    what: "page",
    title: "Ready page",
    about:
      "A page of some thirty lines that uses the model, with the model and the library beside it. Put the folder on any server.",
  },
  {
    what: "onnx",
    title: "ONNX",
    about: "A graph for each exit, and what says how they decide, for onnxruntime and others.",
  },
];

export function takeView(lab: Lab): HTMLElement {
  const cards = WAYS.map(({ what, title, about }) => {
    const button = h(
      "button",
      { type: "button", className: "primary", on: { click: () => void take(what) } },
      `Download the ${title}`,
    );
    return { button, card: h("div", { className: "card" }, h("h2", {}, title), h("p", {}, about), button) };
  });
  const take = (what: TakeHome): Promise<void> =>
    lab.attempt(async () => {
      const file = await lab.asking.ask("takeHome", what);
      save(file);
      lab.store.send({ tell: "said", text: `${file.name}: ${Math.ceil(file.bytes.length / 1000)} kB.` });
    });
  const promise = h("p", { className: "promise" });
  lab.store.watch(({ subject }) => {
    for (const { button } of cards) button.disabled = subject === undefined;
    promise.textContent = subject
      ? `${subject.name}, with the thresholds of the moment.`
      : "There is no classifier yet: train one, or open one above.";
  });
  return h("section", {}, promise, h("div", { className: "cards" }, ...cards.map(({ card }) => card)));
}

function save({ name, type, bytes }: SavedFile): void {
  const href = URL.createObjectURL(new Blob([bytes], { type }));
  const link = h("a", { href, download: name });
  link.click();
  setTimeout(() => URL.revokeObjectURL(href), 60_000);
}
