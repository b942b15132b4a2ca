// What workers leave for whoever asked: run folders as single files, each of one moment and there whole or not at all,
// in a folder or in an S3 bucket.

import { mkdirSync, readdirSync, readFileSync, rmSync, statSync } from "node:fs";
import { join, relative, resolve, sep } from "node:path";
import { unzipSync, zipSync } from "fflate";
import { codeOf, messageOf, readWholeSync, SortieError } from "../../base/index.ts";
import { reading, writeWhole } from "../files/whole.ts";

/** Files by name. */
export interface Artefacts {
  /** For messages, and for who else shall open it. */
  readonly place: string;
  /** Undefined where there is none. */
  get(name: string): Promise<Uint8Array | undefined>;
  put(name: string, content: Uint8Array): Promise<void>;
  remove(name: string): Promise<void>;
}

/**
 * Opens a folder, which is made unless it must be `there`, or `s3://bucket/prefix`. @throws SortieError where it cannot
 * be.
 */
export async function openArtefacts(command: string, address: string, there = false): Promise<Artefacts> {
  if (/^[a-z0-9]+:\/\//i.test(address)) return openBucket(command, address);
  const folder = resolve(address);
  try {
    if (there) readdirSync(folder);
    else mkdirSync(folder, { recursive: true });
  } catch (cause) {
    const code = codeOf(cause);
    throw new SortieError(`${command}: --artefacts must be a folder that can be written to; got ${folder}: ${code}.`, {
      cause,
    });
  }
  const at = (name: string) => join(folder, name);
  return {
    place: folder,
    get: async (name) => (isThere(at(name)) ? reading(at(name), () => readWholeSync(at(name))) : undefined),
    put: async (name, content) => writeWhole(at(name), content),
    remove: async (name) => rmSync(at(name), { force: true }),
  };
}

/** Whether a file is there. @throws Error of the system for a folder that cannot be looked into: that is no absence. */
const isThere = (path: string): boolean => statSync(path, { throwIfNoEntry: false }) !== undefined;

/** What tells that a place is the one that a comparison looks into, and can be written to. */
const MARK = "sortie-artefacts.json";

/** Marks a place; what it holds is of no account. */
export const markPlace = ({ put }: Artefacts): Promise<void> => put(MARK, new TextEncoder().encode("{}\n"));

/** @throws SortieError where no comparison has marked the place, or nothing can be put there. */
export async function checkPlace(command: string, artefacts: Artefacts): Promise<void> {
  if (!(await artefacts.get(MARK)))
    throw new SortieError(
      `${command}: --artefacts must be a place that the comparison reaches too, which leaves ${MARK} there; ${artefacts.place} has none.`,
    );
  await markPlace(artefacts);
}

async function s3Library(command: string): Promise<typeof import("@aws-sdk/client-s3")> {
  try {
    return await import("@aws-sdk/client-s3");
  } catch (cause) {
    if (codeOf(cause) !== "ERR_MODULE_NOT_FOUND") throw cause;
    const needs = "@aws-sdk/client-s3, which is not installed. Run npm install @aws-sdk/client-s3.";
    throw new SortieError(`${command}: artefacts in S3 need ${needs}`, { cause });
  }
}

/**
 * Region, credentials and another server's address are found as the AWS tools find them: in the environment or its
 * files.
 */
async function openBucket(command: string, address: string): Promise<Artefacts> {
  const [, bucket = "", prefix = ""] = /^s3:\/\/([\w.-]+)(?:\/(.*))?$/.exec(address) ?? [];
  if (bucket === "")
    throw new SortieError(
      `${command}: --artefacts must be a folder or s3://BUCKET/PREFIX; got the scheme ${address.split("://", 1)[0]}.`,
    );
  const { S3Client, GetObjectCommand, PutObjectCommand, DeleteObjectCommand } = await s3Library(command);
  const { env } = process;
  const client = new S3Client({
    // Servers other than Amazon's seldom have a host name for each bucket.
    forcePathStyle: (env["AWS_ENDPOINT_URL_S3"] ?? env["AWS_ENDPOINT_URL"]) !== undefined,
    requestHandler: { connectionTimeout: 5000 },
  });
  const key = (name: string) => ({ Bucket: bucket, Key: [prefix.replace(/\/+$/, ""), name].filter(Boolean).join("/") });
  const told = async <T>(work: Promise<T>): Promise<T> => {
    try {
      return await work;
    } catch (cause) {
      const { name, message } = cause as Error;
      throw new SortieError(`${command}: ${address} must be reachable; got ${name}: ${message || "no answer"}.`, {
        cause,
      });
    }
  };
  const fetched = async (name: string, attempts = 3): Promise<Uint8Array | undefined> => {
    try {
      const { Body } = await client.send(new GetObjectCommand(key(name)));
      // What breaks off on the way is no part of what the client tries again.
      const body = Body?.transformToByteArray();
      return await (attempts > 1 ? body?.catch(() => fetched(name, attempts - 1)) : body);
    } catch (error) {
      if ((error as Error).name === "NoSuchKey") return undefined;
      throw error;
    }
  };
  return {
    place: address,
    get: (name) => told(fetched(name)),
    put: async (name, Body) => void (await told(client.send(new PutObjectCommand({ ...key(name), Body })))),
    remove: async (name) => void (await told(client.send(new DeleteObjectCommand(key(name))))),
  };
}

/** Names of what there is of a run: all, or as far as it came. */
export const artefactNames = (id: string) => ({ whole: `${id}.zip`, begun: `${id}.begun.zip` });

/** What lies in a folder, besides locks and what is being written. */
function filesOf(dir: string): readonly string[] {
  return readdirSync(dir, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && !/^lock\.json|\.part$/.test(entry.name))
    .map((entry) => join(entry.parentPath, entry.name))
    .sort();
}

/** When each checkpoint of a folder was written. */
export const checkpointsOf = (dir: string): string =>
  filesOf(dir)
    .filter((path) => path.endsWith(".safetensors"))
    .map((path) => {
      const stat = statSync(path, { throwIfNoEntry: false });
      return `${path} ${stat?.ino} ${stat?.mtimeMs}`;
    })
    .join("\n");

const ATTEMPTS = 20;

/** A run folder as one file, while it may be written to: no checkpoint in it is of another moment than the others. */
export function packRun(dir: string): Uint8Array {
  for (let i = 0; i < ATTEMPTS; i++) {
    const before = checkpointsOf(dir);
    try {
      const files = filesOf(dir).map((path) => [relative(dir, path).split(sep).join("/"), readFileSync(path)] as const);
      if (checkpointsOf(dir) === before) return zipSync(Object.fromEntries(files), { level: 0 });
    } catch (error) {
      // Renamed since it was listed.
      if (codeOf(error) !== "ENOENT") throw error;
    }
  }
  throw new SortieError(`${dir} must be still for as long as it is read; got new checkpoints all the time.`);
}

function unzipped(content: Uint8Array, dir: string): ReturnType<typeof unzipSync> {
  try {
    return unzipSync(content);
  } catch (cause) {
    const hint = "It is damaged: remove it, and a worker makes it again.";
    throw new SortieError(`${dir}: an archive must be a zip file; got ${messageOf(cause)}. ${hint}`, { cause });
  }
}

/** Writes a run folder. `last` comes last: until it is there the folder does not look finished. */
export function unpackRun(content: Uint8Array, dir: string, last: string): void {
  const files = Object.entries(unzipped(content, dir)).filter(([name]) => !name.endsWith("/"));
  for (const [name] of files)
    if (resolve(dir, name) !== join(resolve(dir), name) || !resolve(dir, name).startsWith(resolve(dir) + sep))
      throw new SortieError(`${dir}: an archive must stay within its folder; got ${name}.`);
  const order = (name: string) => (name === last ? 1 : 0);
  for (const [name, bytes] of files.toSorted(([a], [b]) => order(a) - order(b))) writeWhole(join(dir, name), bytes);
}
