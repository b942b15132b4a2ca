// Answers that wait for their labels, and what comes of them: errors of each exit, and whether the promise still holds,
// by the monitor of calibration.

import { type CascadeMonitor, createCascadeMonitor } from "../../calibration/index.ts";
import type { ModelRecord } from "../../exits/index.ts";

interface Decided {
  readonly exit: number;
  readonly answer: number;
}

/** What is known by now of one exit. */
export interface ExitLabels {
  readonly labels: number;
  readonly errors: number;
}

/** Keeps what was answered until its label comes; the oldest go first where too many wait. */
export class Labels {
  readonly #waiting = new Map<string, Decided>();
  readonly #most: number;
  readonly #exits: { labels: number; errors: number }[];
  /** Of a policy that promises something of each exit; undefined: of no other could it be told. */
  readonly monitor: CascadeMonitor | undefined;

  constructor({ exits, policy }: Pick<ModelRecord, "exits" | "policy">, most: number) {
    this.#most = most;
    this.#exits = exits.map(() => ({ labels: 0, errors: 0 }));
    const result = policy?.result;
    const isPromised = policy?.request?.rule === "learnThenTest" && (policy.request.control ?? "exit") === "exit";
    this.monitor =
      isPromised && result?.ok && "alpha" in result && result.delta !== undefined && exits.length > 1
        ? createCascadeMonitor({ alpha: result.alpha, delta: result.delta, exits: exits.length })
        : undefined;
  }

  /** An image was answered. */
  decided(id: string, decided: Decided): void {
    this.#waiting.set(id, decided);
    const [oldest] = this.#waiting.keys();
    if (this.#waiting.size > this.#most && oldest !== undefined) this.#waiting.delete(oldest);
  }

  /** Its label has come; whether the answer was right. Undefined for an id that does not wait. */
  resolved(id: string, label: number): boolean | undefined {
    const found = this.#waiting.get(id);
    if (!found) return undefined;
    this.#waiting.delete(id);
    const isWrong = found.answer !== label;
    const own = this.#exits[found.exit]!;
    own.labels += 1;
    own.errors += Number(isWrong);
    this.monitor?.observe(found.exit, isWrong);
    return !isWrong;
  }

  get waiting(): number {
    return this.#waiting.size;
  }

  get exits(): readonly ExitLabels[] {
    return this.#exits;
  }
}
