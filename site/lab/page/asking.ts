// The page's side of the protocol: questions as promises, and what the worker tells.

import type { Answer, AskName, FromWorker, Given, Question, Told } from "../protocol.ts";

type Waiting = { readonly resolve: (answer: never) => void; readonly reject: (error: Error) => void };

/** Asks the worker. */
export class Asking {
  readonly #worker: Worker;
  readonly #waiting = new Map<number, Waiting>();
  #last = 0;

  constructor(worker: Worker, hear: (told: Told) => void) {
    this.#worker = worker;
    worker.addEventListener("message", ({ data }: MessageEvent<FromWorker>) => {
      if ("tell" in data) hear(data);
      else this.#settle(data);
    });
    worker.addEventListener("error", ({ message }) => {
      for (const { reject } of this.#waiting.values()) reject(new Error(message || "The worker did not start."));
      this.#waiting.clear();
    });
  }

  /** @throws Error with what the worker says went wrong */
  ask<Name extends AskName>(ask: Name, given?: Given<Name>): Promise<Answer<Name>> {
    this.#last += 1;
    const question: Question = { id: this.#last, ask, given };
    this.#worker.postMessage(question);
    return new Promise((resolve, reject) => {
      this.#waiting.set(question.id, { resolve, reject });
    });
  }

  #settle(said: Exclude<FromWorker, Told>): void {
    const waiting = this.#waiting.get(said.id);
    this.#waiting.delete(said.id);
    if ("error" in said) waiting?.reject(Object.assign(new Error(said.error.message), { name: said.error.name }));
    else waiting?.resolve(said.answer as never);
  }
}

/** Asks only the latest of what comes faster than it is answered. */
export function latest<T>(ask: (given: T) => Promise<void>): (given: T) => void {
  let isBusy = false;
  let next: { readonly given: T } | undefined;
  const go = async (): Promise<void> => {
    if (isBusy) return;
    isBusy = true;
    try {
      while (next) {
        const { given } = next;
        next = undefined;
        await ask(given);
      }
    } finally {
      isBusy = false;
    }
  };
  return (given) => {
    next = { given };
    void go();
  };
}
