// Classes of one's own: named, filled by drawing or by files, kept by the worker for the next training.

import { FEWEST, type ImageSource, type OwnClass, type OwnSet } from "../protocol.ts";
import { h } from "./dom.ts";
import { drawPad } from "./draw-pad.ts";
import type { Lab } from "./lab.ts";

/** Shapes that pictures are brought to. */
const SHAPES = { drawn: [28, 28, 1], pictures: [32, 32, 3] } as const satisfies Record<string, OwnSet["shape"]>;

type Own = Exclude<ImageSource, "glyphs">;

/** The editor; shown for one source, or for none. */
export interface OwnClasses {
  readonly element: HTMLElement;
  show(images: Own | undefined): void;
}

export function ownClasses(lab: Lab): OwnClasses {
  let images: Own | undefined;
  let classes: readonly OwnClass[] = [];
  const list = h("div", { className: "classes" });
  const name = h("input", { type: "text", placeholder: "a name", "aria-label": "Name of a new class" });
  const add = h("button", { type: "button", on: { click: () => void addClass() } }, "Add a class");
  const pad = drawPad("What to add to a class", () => {});
  const clear = h("button", { type: "button", on: { click: pad.clear } }, "Clear");
  const drawing = h("div", { className: "drawing" }, pad.element, clear);
  const hint = h(
    "p",
    { className: "hint" },
    `Two classes or more, with ${FEWEST} pictures or more each. The more there are, the more can be promised.`,
  );
  const element = h(
    "div",
    { className: "own", hidden: true },
    drawing,
    list,
    h("div", { className: "row" }, name, add),
    hint,
  );
  name.addEventListener("keydown", (event) => {
    if (event.key !== "Enter") return;
    event.preventDefault();
    void addClass();
  });

  const keep = (next: readonly OwnClass[]): Promise<void> => {
    classes = next;
    render();
    const here = images;
    if (here === undefined) return Promise.resolve();
    const set: OwnSet = { shape: SHAPES[here], classes };
    return lab.attempt(() => lab.asking.ask("keepClasses", { images: here, set }));
  };
  const addClass = async (): Promise<void> => {
    const wanted = name.value.trim() || `class ${classes.length + 1}`;
    name.value = "";
    if (!classes.some((each) => each.name === wanted)) await keep([...classes, { name: wanted, pictures: [] }]);
  };
  const addPictures = (to: string, pictures: readonly (Blob | ImageData)[]): Promise<void> =>
    lab.attempt(async () => {
      if (images === undefined || pictures.length === 0) return;
      const prepared = await lab.asking.ask("prepare", { pictures, shape: SHAPES[images] });
      await keep(
        classes.map((each) => (each.name === to ? { ...each, pictures: [...each.pictures, ...prepared] } : each)),
      );
      lab.store.send({ tell: "said", text: `${to}: ${prepared.length} added.` });
    });
  const addDrawing = async (to: string): Promise<void> => {
    const drawn = pad.pixels();
    if (drawn) await addPictures(to, [drawn]);
    pad.clear();
  };

  function row({ name: title, pictures }: OwnClass): HTMLElement {
    const count = h("span", { className: pictures.length < FEWEST ? "count few" : "count" }, `${pictures.length}`);
    const draw = h("button", { type: "button", on: { click: () => void addDrawing(title) } }, "Add drawing");
    const files = h("input", {
      ...{ type: "file", accept: "image/*", multiple: true, "aria-label": `Pictures of ${title}` },
      on: { change: () => void addPictures(title, [...(files.files ?? [])]) },
    });
    const remove = h("button", {
      ...{ type: "button", textContent: "Remove", "aria-label": `Remove ${title}` },
      on: { click: () => void keep(classes.filter((each) => each.name !== title)) },
    });
    const line = h("div", { className: "class" }, h("b", {}, title), count, images === "drawn" ? draw : files, remove);
    line.addEventListener("dragover", (event) => event.preventDefault());
    line.addEventListener("drop", (event) => {
      event.preventDefault();
      event.stopPropagation();
      void addPictures(
        title,
        [...(event.dataTransfer?.files ?? [])].filter(({ type }) => type.startsWith("image/")),
      );
    });
    return line;
  }

  function render(): void {
    const focused = document.activeElement?.getAttribute("aria-label");
    list.replaceChildren(...classes.map(row));
    if (focused) list.querySelector<HTMLElement>(`[aria-label="${CSS.escape(focused)}"]`)?.focus();
  }

  return {
    element,
    show(next) {
      images = next;
      element.hidden = next === undefined;
      drawing.hidden = next !== "drawn";
      classes = [];
      render();
      if (next === undefined) return;
      void lab.attempt(async () => {
        const kept = await lab.asking.ask("classes", next);
        if (images !== next) return;
        classes = kept?.classes ?? [];
        render();
      });
    },
  };
}
