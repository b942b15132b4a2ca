// What survives a reload: files and records by name, in IndexedDB. Checkpoints lie here in place of a run folder.

import type { CheckpointStore } from "../../../exits/index.ts";

const NAME = "sortie-lab";
const TABLE = "kept";

/** The result of a request. @throws DOMException of the browser, for instance where the disk is full */
const settled = <T>(request: IDBRequest<T>): Promise<T> =>
  new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });

/** The end of a request's transaction: only then is kept what was written. @throws DOMException as above */
const committed = ({ transaction }: IDBRequest): Promise<void> =>
  new Promise((resolve, reject) => {
    if (!transaction) return resolve();
    transaction.oncomplete = () => resolve();
    transaction.onabort = () => reject(transaction.error);
  });

let opened: Promise<IDBDatabase> | undefined;

function database(): Promise<IDBDatabase> {
  opened ??= (() => {
    const request = indexedDB.open(NAME, 1);
    request.onupgradeneeded = () => request.result.createObjectStore(TABLE);
    return settled(request);
  })();
  // What was refused may be allowed later.
  opened.catch(() => {
    opened = undefined;
  });
  return opened;
}

async function table(mode: IDBTransactionMode): Promise<IDBObjectStore> {
  return (await database()).transaction(TABLE, mode).objectStore(TABLE);
}

/** What was put under a name, or undefined. */
export async function get<T>(name: string): Promise<T | undefined> {
  return settled((await table("readonly")).get(name)) as Promise<T | undefined>;
}

export async function put(name: string, value: unknown): Promise<void> {
  await committed((await table("readwrite")).put(value, name));
}

/** Removes everything whose name begins so. */
export async function removeAll(prefix: string): Promise<void> {
  await committed((await table("readwrite")).delete(IDBKeyRange.bound(prefix, `${prefix}\uffff`)));
}

/** Checkpoints under a prefix. A transaction is whole or not at all, and so is a file. */
export const checkpoints = (prefix: string): CheckpointStore => ({
  read: (name) => get<Blob>(`${prefix}${name}`),
  write: (name, file) => put(`${prefix}${name}`, file),
});
