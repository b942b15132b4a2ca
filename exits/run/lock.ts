// One process a run folder: two that train into it would write each other's checkpoints. The lock is a file that says
// who holds it; a process that died holds nothing, whatever it left behind.

import { codeOf, isRunning, kindOf, what } from "../../base/index.ts";
import { TrainingError } from "../errors.ts";
import { fileSystem, readText } from "./files.ts";

/** Name of the file in the folder. */
export const LOCK_FILE = "lock.json";

/** A folder that this process may write to until it lets go. */
export interface FolderLock {
  release(): Promise<void>;
}

/** A lock that is a link, a folder or a pipe was made by nobody who locks, and can be neither read nor taken over. */
async function checkIsFile(op: string, path: string): Promise<void> {
  const found = await fileSystem(op)
    .lstat(path)
    .catch(() => undefined);
  if (!found || found.isFile()) return;
  const got = found.isSymbolicLink() ? "a link" : kindOf(found);
  throw new TrainingError(`${op}: ${path} must be a file of sortie; got ${got}. Delete it, or choose another folder.`);
}

/** Makes the folder. @throws TrainingError where something else has its name. */
async function makeFolder(op: string, dir: string): Promise<void> {
  if (typeof dir !== "string" || dir === "")
    throw new TrainingError(`${op}: dir must be the path of a folder; got ${what(dir)}.`);
  try {
    await fileSystem(op).mkdir(dir, { recursive: true });
  } catch (cause) {
    if (!isCode(cause, "EEXIST") && !isCode(cause, "ENOTDIR")) throw cause;
    throw new TrainingError(`${op}: dir must be a folder; got ${dir}, where a file is in the way.`, { cause });
  }
}

/** Who holds a folder. */
interface Holder {
  readonly pid: number;
  readonly host: string;
  /** When the process began, as the system counts: another process may get the same number later. */
  readonly began: string;
  /** When the folder was taken. */
  readonly since: string;
}

const isCode = (error: unknown, code: string): boolean => codeOf(error) === code;

/**
 * The beginning of a process: field 22 of /proc/PID/stat and the boot it counts from; "" where the system does not
 * tell.
 */
async function beginning(pid: number): Promise<string> {
  const read = (path: string) => readText(path).catch(() => undefined);
  const stat = await read(`/proc/${pid}/stat`);
  // The second field is a name in brackets, which may hold blanks and brackets.
  const ticks = stat?.slice(stat.lastIndexOf(")") + 2).split(" ")[19];
  return ticks === undefined ? "" : `${((await read("/proc/sys/kernel/random/boot_id")) ?? "").trim()} ${ticks}`;
}

/** Whether the holder is known to be gone. One on another machine is never known to be. */
async function isGone({ pid, host, began }: Holder, here: Holder): Promise<boolean> {
  if (host !== here.host) return false;
  return !isRunning(pid) || (await beginning(pid)) !== began;
}

function parse(text: string): Holder | undefined {
  try {
    const holder = JSON.parse(text) as Holder;
    return Number.isSafeInteger(holder.pid) && holder.pid > 0 && typeof holder.host === "string" ? holder : undefined;
  } catch {
    return undefined;
  }
}

/**
 * Takes a folder for this process (Node); a lock that a dead process left is taken over.
 * @throws TrainingError that names the process that holds the folder.
 */
export async function lockFolder(op: string, dir: string): Promise<FolderLock> {
  const taken = await take(op, dir);
  if (isLock(taken)) return taken;
  throw busy(op, dir, taken.holder, taken.here);
}

/** The same; undefined where another process holds the folder. */
export async function lockIfFree(op: string, dir: string): Promise<FolderLock | undefined> {
  const taken = await take(op, dir);
  return isLock(taken) ? taken : undefined;
}

/** Who has the folder, and who wanted it. */
interface Held {
  readonly holder: Holder;
  readonly here: Holder;
}

const isLock = (taken: FolderLock | Held): taken is FolderLock => "release" in taken;

async function take(op: string, dir: string): Promise<FolderLock | Held> {
  const fs = fileSystem(op);
  await makeFolder(op, dir);
  const path = `${dir.replace(/[\\/]+$/, "")}/${LOCK_FILE}`;
  const host = process.getBuiltinModule("node:os").hostname();
  const { pid } = process;
  const here: Holder = { pid, host, began: await beginning(pid), since: new Date().toISOString() };
  const mine = JSON.stringify(here);
  const aside = `${path}.${crypto.randomUUID()}`;
  await fs.writeFile(aside, mine, { flag: "wx" });
  try {
    while (!(await appears(aside, path))) {
      await checkIsFile(op, path);
      const text = await readText(path);
      if (text === undefined) continue;
      const holder = parse(text);
      if (holder && !(await isGone(holder, here))) return { holder, here };
      await removeIf(path, text, `${aside}.old`);
    }
  } finally {
    await fs.rm(aside, { force: true });
  }
  return {
    release: async () => {
      if ((await readText(path)) === mine) await fs.rm(path, { force: true });
    },
  };
}

/** Gives `from` the name `to` as well, whole and only where there is none; whether it did. */
async function appears(from: string, to: string): Promise<boolean> {
  const fs = fileSystem("lock");
  try {
    // Some file systems have no links.
    await fs.link(from, to).catch((error) => {
      if (isCode(error, "EEXIST")) throw error;
      return fs.copyFile(from, to, fs.constants.COPYFILE_EXCL);
    });
    return true;
  } catch (error) {
    if (isCode(error, "EEXIST")) return false;
    throw error;
  }
}

/** Removes the lock if it still reads `text`: somebody else may have taken over in the meantime. */
async function removeIf(path: string, text: string, aside: string): Promise<void> {
  const fs = fileSystem("lock");
  try {
    await fs.rename(path, aside);
  } catch (error) {
    if (isCode(error, "ENOENT")) return;
    throw error;
  }
  if ((await readText(aside)) !== text) await appears(aside, path);
  await fs.rm(aside, { force: true });
}

function busy(op: string, dir: string, { pid, host, since }: Holder, here: Holder): TrainingError {
  const isOwn = host === here.host && pid === here.pid;
  const who = isOwn ? "this process" : `process ${pid} on ${host}`;
  const hint =
    host === here.host
      ? "Wait for it, or choose another folder."
      : `If it is gone, delete ${dir}/${LOCK_FILE}; else choose another folder.`;
  return new TrainingError(`${op}: ${dir} must be free; ${who} has it since ${since}. ${hint}`);
}
