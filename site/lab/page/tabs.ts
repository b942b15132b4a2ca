// The four steps as tabs, by the keys that tabs have: arrows move, Home and End go to the ends.

import { h } from "./dom.ts";
import type { Step } from "./state.ts";

/** A step. */
interface Tab {
  readonly id: Step;
  readonly title: string;
  readonly panel: HTMLElement;
}

/** Tabs with their panels, and what shows one of them. */
interface Tabs {
  readonly list: HTMLElement;
  readonly panels: readonly HTMLElement[];
  show(id: Step): void;
}

/** @param chosen Called with the step that a person chooses. */
export function tabs(all: readonly Tab[], chosen: (id: Step) => void): Tabs {
  const buttons = all.map(({ id, title }, at) =>
    h(
      "button",
      {
        ...{ id: `tab-${id}`, type: "button", role: "tab", "aria-controls": `panel-${id}` },
        on: { click: () => chosen(id), keydown: (event: KeyboardEvent) => move(event, at) },
      },
      h("span", { className: "number", "aria-hidden": "true" }, String(at + 1)),
      title,
    ),
  );
  const panels = all.map(({ id, panel }) => {
    Object.assign(panel, { id: `panel-${id}`, tabIndex: -1 });
    panel.setAttribute("role", "tabpanel");
    panel.setAttribute("aria-labelledby", `tab-${id}`);
    return panel;
  });

  function show(id: Step): void {
    for (const [at, tab] of all.entries()) {
      const isShown = tab.id === id;
      buttons[at]!.setAttribute("aria-selected", String(isShown));
      buttons[at]!.tabIndex = isShown ? 0 : -1;
      panels[at]!.hidden = !isShown;
    }
  }

  function move(event: KeyboardEvent, at: number): void {
    const to = { ArrowRight: at + 1, ArrowLeft: at - 1, Home: 0, End: all.length - 1 }[event.key];
    if (to === undefined) return;
    event.preventDefault();
    const next = (to + all.length) % all.length;
    chosen(all[next]!.id);
    buttons[next]!.focus();
  }

  return { list: h("div", { className: "tabs", role: "tablist", "aria-label": "Steps" }, ...buttons), panels, show };
}
