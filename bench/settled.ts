// Parts of a long measurement, each kept once it is done: whoever is killed goes on with the next. What was measured of
// other sources counts for nothing.

import { createHash } from "node:crypto";
import { appendFileSync, existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname } from "node:path";
import { fileURLToPath } from "node:url";

/** A part that is done. */
interface Part {
  /** Which sources and settings it is of. */
  readonly of: string;
  readonly name: string;
  readonly seconds: number;
  readonly found: unknown;
}

/**
 * Runs parts, or takes them from `file`; `of` names the settings, `sources` (of the repository, as they begin) the
 * code.
 */
export class Settled {
  readonly #file: string;
  readonly #of: string;
  readonly #parts: readonly Part[];
  /** What all parts took, those of earlier runs too. */
  seconds = 0;

  constructor(file: string, { of, sources }: { readonly of: string; readonly sources: readonly string[] }) {
    const hash = createHash("sha256").update(of);
    const root = fileURLToPath(new URL("..", import.meta.url));
    for (const folder of new Set(sources.map((source) => source.split("/")[0]!))) {
      const files = readdirSync(`${root}${folder}`, { recursive: true, encoding: "utf8" });
      for (const file of files.map((name) => `${folder}/${name}`).sort())
        if (file.endsWith(".ts") && sources.some((source) => file.startsWith(source)))
          hash.update(file).update(readFileSync(root + file));
    }
    this.#of = hash.digest("hex");
    this.#file = file;
    const text = existsSync(file) ? readFileSync(file, "utf8") : "";
    const whole = text.slice(0, text.lastIndexOf("\n") + 1);
    // A line that was being written when the process was killed is none.
    if (whole.length < text.length) writeFileSync(file, whole);
    const lines = whole.split("\n").slice(0, -1);
    this.#parts = lines.map((line) => JSON.parse(line) as Part).filter(({ of }) => of === this.#of);
  }

  /** What `measure` returns, which must be what JSON holds. */
  part<T>(name: string, measure: () => T): T {
    const done = this.#parts.find((part) => part.name === name);
    if (done) {
      this.seconds += done.seconds;
      return done.found as T;
    }
    const start = performance.now();
    const found = measure();
    const seconds = (performance.now() - start) / 1000;
    this.seconds += seconds;
    mkdirSync(dirname(this.#file), { recursive: true });
    const part: Part = { of: this.#of, name, seconds, found };
    appendFileSync(this.#file, `${JSON.stringify(part)}\n`);
    return found;
  }
}
