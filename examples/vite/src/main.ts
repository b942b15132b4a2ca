// The page: what is pressed, and what is shown. All that computes is in the worker.

import "./style.css";
import { Asking } from "./ask.ts";
import type { Calibrated, Progress } from "./messages.ts";
import { drawOn } from "./pad.ts";

/** An element of index.html. @throws Error if it is not there, or another */
function find<T extends HTMLElement>(id: string, kind: new () => T): T {
  const found = document.getElementById(id);
  if (!(found instanceof kind)) throw new Error(`index.html has no ${kind.name} #${id}.`);
  return found;
}

const says = find("says", HTMLElement);
const bar = find("bar", HTMLProgressElement);
const trainButton = find("train", HTMLButtonElement);
const calibrateButton = find("calibrate", HTMLButtonElement);
const risk = find("risk", HTMLInputElement);
const save = find("save", HTMLAnchorElement);
const pad = find("pad", HTMLCanvasElement);
const answer = find("answer", HTMLElement);

const percent = (share: number): string => (Number.isNaN(share) ? "–" : `${(100 * share).toFixed(1)} %`);
const say = (text: string): void => {
  says.textContent = text;
};
const asking = new Asking(showProgress);

function showProgress({ step, steps, accuracy }: Progress): void {
  Object.assign(bar, { value: step, max: steps });
  say(`Step ${step} of ${steps}. Right at the exits: ${accuracy.map(percent).join(", ")}`);
}

function showClasses(classes: readonly string[], promise: string): void {
  find("classes", HTMLElement).textContent = `Draw one of: ${classes.join(", ")}.`;
  find("promise", HTMLElement).textContent = promise;
  answer.textContent = "";
  find("try", HTMLElement).hidden = false;
}

function showCalibrated({ promise, exits, cost, isSafe, file, same, of }: Calibrated): void {
  const rows = exits.map(({ share, error }, i) => {
    const row = document.createElement("tr");
    const name = Object.assign(document.createElement("th"), { scope: "row", textContent: `exit ${i + 1}` });
    const cells = [share, error].map((value) => {
      const cell = document.createElement("td");
      cell.textContent = percent(value);
      return cell;
    });
    row.append(name, ...cells);
    return row;
  });
  find("rows", HTMLElement).replaceChildren(...rows);
  find("verdict", HTMLElement).textContent = isSafe
    ? `Certified. ${percent(cost)} of the whole network's work.`
    : "Nothing is safe: every image runs to the last exit.";
  find("table", HTMLElement).hidden = !isSafe;
  find("same", HTMLElement).textContent =
    `The file, opened again, answers ${same} of ${of} test images as the network does, at the same exits.`;
  find("promise", HTMLElement).textContent = promise;
  URL.revokeObjectURL(save.href);
  save.href = URL.createObjectURL(file);
  find("calibrated", HTMLElement).hidden = false;
}

/** Does something that takes a while, while nothing else can be pressed; what goes wrong is said. */
async function busy(work: () => Promise<void>): Promise<void> {
  for (const button of [trainButton, calibrateButton]) button.disabled = true;
  try {
    await work();
  } catch (error) {
    say(error instanceof Error ? error.message : String(error));
  } finally {
    trainButton.disabled = false;
    calibrateButton.disabled = !isTrained;
  }
}

let isTrained = false;
let classes: readonly string[] = [];

trainButton.addEventListener("click", () => {
  const number = (id: string): number => Number(find(id, HTMLSelectElement).value);
  void busy(async () => {
    say("Opening the GPU …");
    const trained = await asking.ask("train", { pictures: number("pictures"), epochs: number("epochs") });
    isTrained = true;
    classes = trained.classes;
    say(
      `Trained in ${trained.seconds.toFixed(1)} s. Right on test images: ${trained.accuracy.map(percent).join(", ")}`,
    );
  });
});

risk.addEventListener("input", () => {
  find("risk-text", HTMLElement).textContent = `${risk.value} %`;
});
calibrateButton.addEventListener("click", () => {
  void busy(async () => {
    const found = await asking.ask("calibrate", { risk: Number(risk.value) / 100 });
    showClasses(classes, found.promise);
    showCalibrated(found);
  });
});

find("file", HTMLInputElement).addEventListener("change", ({ currentTarget }) => {
  const [file] = (currentTarget as HTMLInputElement).files ?? [];
  if (!file) return;
  void busy(async () => {
    const { classes, promise } = await asking.ask("open", file);
    find("calibrated", HTMLElement).hidden = true;
    showClasses(classes, promise);
    say(`${file.name} is open.`);
  });
});

const drawing = drawOn(pad, () => {
  void busy(async () => {
    const picture = await createImageBitmap(pad);
    const { name, exit, exits, score, cost } = await asking.ask("classify", picture, [picture]);
    answer.textContent = `${name}, ${percent(score)} sure, known at exit ${exit} of ${exits} for ${percent(cost)} of the work`;
  });
});
find("clear", HTMLButtonElement).addEventListener("click", () => {
  drawing.clear();
  answer.textContent = "";
});
