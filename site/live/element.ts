// <live-code>: a block of code that readers change and run. The code itself is in the page as it was written, and stays
// readable without JavaScript; button and output stand in the shadow.

import type { Message } from "./worker.ts";

const STYLE = `
  :host { display: block; margin: 16px 0; }
  ::slotted(div) { margin-bottom: 0 !important; border-bottom-left-radius: 0 !important; border-bottom-right-radius: 0 !important; }
  .bar { display: flex; flex-wrap: wrap; gap: 8px 12px; align-items: center; padding: 8px 24px;
    background: var(--vp-code-block-bg); border-top: 1px solid var(--vp-code-block-divider-color);
    font: 14px/20px var(--vp-font-family-base); color: var(--vp-c-text-2); border-radius: 0 0 8px 8px; }
  :host([printed]) .bar { border-radius: 0; }
  button { font: inherit; font-weight: 500; cursor: pointer; border-radius: 20px; padding: 5px 18px;
    border: 1px solid var(--vp-button-brand-border); color: var(--vp-button-brand-text); background: var(--vp-button-brand-bg); }
  button.plain { color: var(--vp-c-text-1); background: transparent; border-color: var(--vp-c-border); }
  button:disabled { opacity: 0.5; cursor: not-allowed; }
  button:focus-visible { outline: 2px solid var(--vp-c-brand-1); outline-offset: 2px; }
  pre { margin: 0; padding: 12px 24px; overflow-x: auto; max-height: 320px; border-radius: 0 0 8px 8px;
    background: var(--vp-code-block-bg); border-top: 1px solid var(--vp-code-block-divider-color);
    font: 13px/20px var(--vp-font-family-mono); color: var(--vp-c-text-1); white-space: pre-wrap; overflow-wrap: anywhere; }
  pre:empty { display: none; }
  .fault { color: var(--vp-c-danger-1); }
  @media (max-width: 639px) { .bar, pre { margin: 0 -24px; border-radius: 0; } }
`;

const MISSING =
  "This browser has no WebGPU, so nothing runs here. Current versions of Chrome, Edge, Safari and Firefox have it, on pages by https.";

function element(name: string, parent: Node, properties: Readonly<Record<string, unknown>> = {}): HTMLElement {
  return parent.appendChild(Object.assign(document.createElement(name), properties));
}

/** Defines the element. @param script address of the bundled worker.ts */
export function defineLiveCode(script: string): void {
  if (customElements.get("live-code")) return;

  class LiveCode extends HTMLElement {
    readonly #output: HTMLElement;
    readonly #state: HTMLElement;
    readonly #button: HTMLButtonElement;
    readonly #reset: HTMLButtonElement;
    #worker: Worker | undefined;
    #written: string | undefined;

    constructor() {
      super();
      const shadow = this.attachShadow({ mode: "open" });
      element("style", shadow, { textContent: STYLE });
      element("slot", shadow);
      const bar = element("div", shadow, { className: "bar" });
      const press = (): void => (this.#worker ? this.#end("stopped") : this.run());
      this.#button = element("button", bar, { textContent: "Run", onclick: press }) as HTMLButtonElement;
      const undo = (): void => this.#restore();
      const plain = { textContent: "Undo changes", className: "plain", hidden: true, onclick: undo };
      this.#reset = element("button", bar, plain) as HTMLButtonElement;
      this.#state = element("span", bar, { role: "status" });
      this.#output = element("pre", shadow, { role: "log", ariaLabel: "Printed", tabIndex: 0 });
    }

    /** The block's own code. */
    get code(): HTMLElement | null {
      return this.querySelector("pre code");
    }

    connectedCallback(): void {
      const { code } = this;
      if (!code) return;
      if (!("gpu" in navigator)) {
        this.#button.disabled = true;
        this.#state.textContent = MISSING;
        return;
      }
      this.#written = code.innerHTML;
      // Where only plain text may be edited in, what is typed stays one text. Tab moves on: nobody is caught in a block.
      code.contentEditable = "plaintext-only";
      code.spellcheck = false;
      code.role = "textbox";
      code.ariaMultiLine = "true";
      code.ariaLabel = "Code that can be changed; Ctrl and Enter run it";
      code.addEventListener("input", this.#changed);
      code.addEventListener("keydown", this.#pressed);
      this.#state.textContent = "Change it, and run it on your GPU.";
    }

    disconnectedCallback(): void {
      this.#worker?.terminate();
      this.#worker = undefined;
      this.code?.removeEventListener("input", this.#changed);
      this.code?.removeEventListener("keydown", this.#pressed);
    }

    /** Runs what the block says now. */
    run(): void {
      this.#output.replaceChildren();
      this.toggleAttribute("printed", true);
      this.#state.textContent = "running ...";
      this.#button.textContent = "Stop";
      const start = performance.now();
      const seconds = (): string => `${((performance.now() - start) / 1000).toFixed(2)} s`;
      this.#worker = new Worker(script, { type: "module" });
      this.#worker.onmessage = ({ data }: MessageEvent<Message>) => {
        if (data.kind !== "done") this.#print(data.text, data.kind === "failed");
        if (data.kind !== "print") this.#end(`${data.kind} after ${seconds()}`);
      };
      this.#worker.onerror = ({ message }) => {
        this.#print(message || "The library could not be loaded.", true);
        this.#end("failed");
      };
      this.#worker.postMessage(this.code?.textContent ?? "");
    }

    #print(text: string, isFault: boolean): void {
      element("div", this.#output, { textContent: text, className: isFault ? "fault" : "" });
    }

    #end(how: string): void {
      this.#worker?.terminate();
      this.#worker = undefined;
      this.#button.textContent = "Run";
      this.#state.textContent = how;
    }

    #restore(): void {
      const { code } = this;
      if (code && this.#written !== undefined) code.innerHTML = this.#written;
      this.#reset.hidden = true;
    }

    readonly #changed = (): void => {
      this.#reset.hidden = false;
    };

    readonly #pressed = (event: KeyboardEvent): void => {
      if (event.key !== "Enter" || !(event.ctrlKey || event.metaKey)) return;
      event.preventDefault();
      if (!this.#worker) this.run();
    };
  }

  customElements.define("live-code", LiveCode);
}
