// What every part of the page works with: the state, the worker, and how a fault is told.

import type { Settings, Subject } from "../protocol.ts";
import { Asking } from "./asking.ts";
import { Store } from "./state.ts";

export class Lab {
  readonly store = new Store();
  readonly asking = new Asking(new Worker("worker.js", { type: "module", name: "lab" }), this.store.send);

  /** Does what a person asked for, and tells what goes wrong. */
  readonly attempt = async (work: () => Promise<unknown>, endsTraining = false): Promise<void> => {
    try {
      await work();
    } catch (error) {
      this.store.send({ tell: "failed", why: (error as Error).message, endsTraining });
    }
  };

  readonly open = async (): Promise<void> => {
    if (!("gpu" in navigator)) {
      const why = "This browser has no WebGPU. Chrome and Edge from 113, Safari from 26 and Firefox from 141 have it.";
      return this.store.send({ tell: "closed", why });
    }
    try {
      const opened = await this.asking.ask("open");
      this.store.send({ tell: "opened", ...opened });
      // What ran when the page was closed runs on; what had ended is there again.
      if (opened.kept && opened.kept.standing !== "paused") void this.train(opened.kept.settings);
    } catch (error) {
      this.store.send({ tell: "closed", why: (error as Error).message });
    }
  };

  readonly train = (settings: Settings): Promise<void> =>
    this.attempt(async () => {
      this.store.send({ tell: "asked", settings });
      const subject = await this.asking.ask("train", settings);
      if (subject) this.store.send({ tell: "subject", subject, isTrained: true });
      else this.store.send({ tell: "paused" });
    }, true);

  readonly pause = (): Promise<void> =>
    this.attempt(async () => {
      this.store.send({ tell: "pausing" });
      await this.asking.ask("pause");
    });

  readonly forget = (): Promise<void> =>
    this.attempt(async () => {
      await this.asking.ask("forget");
      this.store.send({ tell: "forgotten" });
    });

  /** Opens a classifier that is there. */
  readonly openModel = (ask: () => Promise<Subject>): Promise<void> =>
    this.attempt(async () => {
      this.store.send({ tell: "said", text: "Opening ..." });
      this.store.send({ tell: "subject", subject: await ask(), isTrained: false });
    });
}
