// Elements with their properties and children, in one call.

type Child = Node | string | undefined;
/** Properties by name; `data-` and `aria-` ones and `role` are attributes, `on` is listeners by event. */
type Properties = Readonly<Record<string, unknown>> & {
  readonly on?: Readonly<Record<string, (event: never) => void>>;
};

/** An element. */
export function h<Tag extends keyof HTMLElementTagNameMap>(
  tag: Tag,
  properties: Properties = {},
  ...children: readonly Child[]
): HTMLElementTagNameMap[Tag] {
  const element = document.createElement(tag);
  apply(element, properties);
  for (const child of children) if (child !== undefined) element.append(child);
  return element;
}

const SVG = "http://www.w3.org/2000/svg";

/** An element of a drawing; all its properties are attributes. */
export function s<Tag extends keyof SVGElementTagNameMap>(
  tag: Tag,
  attributes: Readonly<Record<string, string | number>> = {},
  ...children: readonly (Node | string)[]
): SVGElementTagNameMap[Tag] {
  const element = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, String(value));
  element.append(...children);
  return element;
}

function apply(element: HTMLElement, { on, ...properties }: Properties): void {
  for (const [event, listener] of Object.entries(on ?? {})) element.addEventListener(event, listener as EventListener);
  for (const [name, value] of Object.entries(properties)) {
    if (value === undefined) continue;
    if (/^(data-|aria-|role$|for$)/.test(name)) element.setAttribute(name, String(value));
    else Object.assign(element, { [name]: value });
  }
}

let fields = 0;

/** A control with its label in front of it, and what it means behind it. */
export function field(label: string | Node, control: HTMLElement, about?: HTMLElement): HTMLElement {
  fields += 1;
  control.id = `field-${fields}`;
  return h("div", { className: "field" }, h("label", { for: control.id }, label), control, about);
}

/** A share as percent. */
export const percent = (share: number, digits = 1): string =>
  Number.isFinite(share) ? `${(100 * share).toFixed(digits)} %` : "-";
/** Milliseconds with three digits that count. */
export const milliseconds = (ms: number): string => `${Number(ms.toPrecision(3))} ms`;
