// Where tuned choices survive the process: a file in Node, IndexedDB in a page. One table per adapter.

import { cacheFolder, isNode, readWhole, writeWhole } from "../base/index.ts";
import type { DeviceInfo } from "./adapter.ts";

/** Choices by key, as kept between runs: the spec's text form. */
export type TuningTable = Record<string, string>;

/** Raised when kernels' candidates change their meaning, so that old tables are not read. */
const FORMAT = 1;

/** Name of an adapter's table: choices of one adapter and driver are of no use to another. */
const tableName = ({ vendor, architecture, description }: DeviceInfo): string =>
  `tuning-${FORMAT}-${vendor}-${architecture}-${description}`.toLowerCase().replace(/[^a-z0-9]+/g, "-");

/** The choices stored for this adapter; empty where there are none or they cannot be read. */
export async function loadTuning(info: DeviceInfo): Promise<TuningTable> {
  const text = await (isNode() ? readFile(info) : readDatabase(info)).catch(() => undefined);
  try {
    const table: unknown = JSON.parse(text ?? "{}");
    return typeof table === "object" && table !== null ? (table as TuningTable) : {};
  } catch {
    return {};
  }
}

/** Stores the choices; a place that cannot be written is no error, tuning just starts anew next time. */
export async function saveTuning(info: DeviceInfo, table: TuningTable): Promise<void> {
  const text = JSON.stringify(table, undefined, 1);
  await (isNode() ? writeFile(filePath(info), text) : writeDatabase(info, text)).catch(() => undefined);
}

const filePath = (info: DeviceInfo): string => `${cacheFolder()}/${tableName(info)}.json`;

const readFile = async (info: DeviceInfo): Promise<string> => new TextDecoder().decode(await readWhole(filePath(info)));

async function writeFile(path: string, text: string): Promise<void> {
  await process.getBuiltinModule("node:fs/promises").mkdir(cacheFolder(), { recursive: true });
  await writeWhole(path, text);
}

/** Runs one request on the store `tuning` of the database `sortie`. */
function onStore<T>(mode: IDBTransactionMode, request: (store: IDBObjectStore) => IDBRequest<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    const open = indexedDB.open("sortie", 1);
    open.onupgradeneeded = () => open.result.createObjectStore("tuning");
    open.onerror = () => reject(open.error);
    open.onsuccess = () => {
      const database = open.result;
      const asked = request(database.transaction("tuning", mode).objectStore("tuning"));
      asked.onsuccess = () => resolve(asked.result);
      asked.onerror = () => reject(asked.error);
      asked.transaction?.addEventListener("complete", () => database.close());
    };
  });
}

const readDatabase = (info: DeviceInfo): Promise<string | undefined> =>
  onStore<string | undefined>("readonly", (store) => store.get(tableName(info)));

const writeDatabase = async (info: DeviceInfo, text: string): Promise<void> => {
  await onStore("readwrite", (store) => store.put(text, tableName(info)));
};
