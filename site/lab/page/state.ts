// What the lab is at: one record, and what each event makes of it. Knows neither the page nor the worker.

import type { Choices, Kept, Point, Settings, Subject, Told } from "../protocol.ts";

/**
 * Opening, then ready; a training runs, is being paused, or is paused. Closed: there is no WebGPU, so nothing can be
 * done.
 */
type Phase = "opening" | "closed" | "ready" | "training" | "pausing" | "paused";

/** The four steps. */
export type Step = "train" | "calibrate" | "run" | "take";

export interface State {
  readonly phase: Phase;
  /** The step that is shown. */
  readonly shown: Step;
  readonly adapter: string;
  readonly choices: Choices | undefined;
  /** Of the training that runs, is paused, or ran last. */
  readonly settings: Settings | undefined;
  readonly step: number;
  readonly steps: number;
  readonly secondsLeft: number | undefined;
  readonly points: readonly Point[];
  readonly subject: Subject | undefined;
  /** The last thing to say, and whether it is a fault. */
  readonly notice: { readonly text: string; readonly isFault: boolean } | undefined;
}

export type Event =
  | Told
  | { readonly tell: "opened"; readonly adapter: string; readonly choices: Choices; readonly kept: Kept | undefined }
  | { readonly tell: "closed"; readonly why: string }
  | { readonly tell: "asked"; readonly settings: Settings }
  | { readonly tell: "pausing" }
  | { readonly tell: "paused" }
  | { readonly tell: "forgotten" }
  | { readonly tell: "subject"; readonly subject: Subject; readonly isTrained: boolean }
  | { readonly tell: "failed"; readonly why: string; readonly endsTraining: boolean }
  | { readonly tell: "said"; readonly text: string }
  | { readonly tell: "shown"; readonly step: Step };

export const BEGINNING: State = {
  phase: "opening",
  shown: "train",
  adapter: "",
  choices: undefined,
  settings: undefined,
  step: 0,
  steps: 0,
  secondsLeft: undefined,
  points: [],
  subject: undefined,
  notice: undefined,
};

const say = (text: string, isFault = false): Pick<State, "notice"> => ({ notice: { text, isFault } });

/** What a training leaves behind it. */
const NO_TRAINING = { settings: undefined, step: 0, steps: 0, secondsLeft: undefined, points: [] } as const;

/** The state after an event. */
export function next(state: State, event: Event): State {
  switch (event.tell) {
    case "opened": {
      const { adapter, choices, kept } = event;
      const found = kept ? { settings: kept.settings, step: kept.step, steps: kept.steps, points: kept.points } : {};
      const phase = kept && kept.standing !== "done" ? "paused" : "ready";
      return { ...state, phase, adapter, choices, ...found };
    }
    case "closed":
      return { ...state, phase: "closed", ...say(event.why, true) };
    case "asked": {
      const isSame = JSON.stringify(event.settings) === JSON.stringify(state.settings);
      const before = isSame ? {} : { ...NO_TRAINING, settings: event.settings };
      return { ...state, ...before, phase: "training", ...say("Training starts.") };
    }
    case "begun": {
      const { step, steps } = event;
      const points = state.points.filter((point) => point.step <= step);
      const text = step > 0 ? `Training goes on from step ${step} of ${steps}.` : `Training: ${steps} steps.`;
      return { ...state, step, steps, points, ...say(text) };
    }
    case "step":
      return { ...state, step: event.step, steps: event.steps, secondsLeft: event.secondsLeft };
    case "point":
      return { ...state, points: [...state.points, event.point] };
    case "pausing":
      return state.phase === "training" ? { ...state, phase: "pausing" } : state;
    case "paused":
      return { ...state, phase: "paused", ...say(`Paused at step ${state.step} of ${state.steps}. It is kept here.`) };
    case "forgotten":
      return { ...state, ...NO_TRAINING, phase: "ready", ...say("The training is forgotten.") };
    case "subject": {
      const { subject, isTrained } = event;
      if (isTrained)
        return { ...state, phase: "ready", subject, ...say("Trained. Now see what can be promised: Calibrate.") };
      // Who opens a classifier wants to see it run.
      const shown = state.shown === "train" ? "run" : state.shown;
      return { ...state, shown, subject, ...say(`${subject.name} is open.`) };
    }
    case "failed":
      return { ...state, phase: event.endsTraining ? "ready" : state.phase, ...say(event.why, true) };
    case "lost":
      return { ...state, ...say("The GPU was lost. Going on with another device.", true) };
    case "recovered":
      return { ...state, adapter: event.adapter };
    case "said":
      return { ...state, ...say(event.text) };
    case "shown":
      return { ...state, shown: event.step };
  }
}

/** The state, and who wants to know of it. */
export class Store {
  #state = BEGINNING;
  readonly #listeners: ((state: State) => void)[] = [];

  get state(): State {
    return this.#state;
  }

  /** Calls `listener` now and after every event. */
  watch(listener: (state: State) => void): void {
    this.#listeners.push(listener);
    listener(this.#state);
  }

  readonly send = (event: Event): void => {
    this.#state = next(this.#state, event);
    for (const listener of this.#listeners) listener(this.#state);
  };
}
