// Which routes were found the fastest, kept between processes (Node): a small file for each classifier, told by all
// that the times depend on.

import { cacheFolder, isNode, json, readWhole, SortieError, writeWhole } from "../../base/index.ts";
import { sha256 } from "../run/seal.ts";

/** Settled routes by size of batches, and whether others follow. */
export type Settlements = ReadonlyMap<string, string>;

const ROUTES = json.byName(json.text);

/** The routes of one classifier. */
export class RememberedRoutes {
  readonly known: Settlements;
  readonly #path: string;
  /** Ends when what was settled before is on disk. */
  #writing: Promise<void> = Promise.resolve();

  private constructor(path: string, known: Settlements) {
    this.#path = path;
    this.known = known;
  }

  /** Opens what is kept for a classifier of these parts; undefined where there are no files. */
  static async open(parts: object): Promise<RememberedRoutes | undefined> {
    if (!isNode()) return undefined;
    const key = await sha256(new TextEncoder().encode(JSON.stringify(parts)));
    const path = `${cacheFolder()}/plans/${key}.json`;
    return new RememberedRoutes(path, await readRoutes(path));
  }

  /** Notes a choice. Times can be taken again: a disk that is full or read-only loses them, and disturbs nobody. */
  settle(size: string, route: string): void {
    this.#writing = this.#writing.then(async () => {
      try {
        await process.getBuiltinModule("node:fs/promises").mkdir(`${cacheFolder()}/plans`, { recursive: true });
        // What another process has found in the meantime stays.
        const routes = new Map(await readRoutes(this.#path)).set(size, route);
        await writeWhole(this.#path, JSON.stringify(Object.fromEntries(routes)));
      } catch {}
    });
  }
}

/** None for a file that is not there, or is none of ours. */
async function readRoutes(path: string): Promise<Settlements> {
  try {
    const routes = ROUTES(JSON.parse(new TextDecoder().decode(await readWhole(path))), "routes");
    return new Map(Object.entries(routes));
  } catch (error) {
    if (error instanceof SortieError || error instanceof SyntaxError || "code" in (error as object)) return new Map();
    throw error;
  }
}
