// The page's side of the conversation: questions are promises of answers.

import type { Answer, FromWorker, Given, Name, Progress, Question } from "./messages.ts";

interface Waiting {
  readonly resolve: (answer: never) => void;
  readonly reject: (error: Error) => void;
}

export class Asking {
  readonly #worker = new Worker(new URL("./worker.ts", import.meta.url), { type: "module" });
  readonly #waiting = new Map<number, Waiting>();
  #last = 0;

  constructor(onProgress: (progress: Progress) => void) {
    this.#worker.addEventListener("message", ({ data }: MessageEvent<FromWorker>) => {
      if ("progress" in data) return onProgress(data.progress);
      const waiting = this.#waiting.get(data.id);
      this.#waiting.delete(data.id);
      if ("error" in data) waiting?.reject(new Error(data.error));
      else waiting?.resolve(data.answer as never);
    });
    // A worker that cannot start answers nothing.
    this.#worker.addEventListener("error", ({ message }) => {
      for (const { reject } of this.#waiting.values()) reject(new Error(`The worker failed: ${message}`));
      this.#waiting.clear();
    });
  }

  ask<N extends Name>(name: N, given: Given<N>, transfer: Transferable[] = []): Promise<Answer<N>> {
    const question: Question = { id: ++this.#last, name, given };
    return new Promise<Answer<N>>((resolve, reject) => {
      this.#waiting.set(question.id, { resolve, reject });
      this.#worker.postMessage(question, transfer);
    });
  }
}
