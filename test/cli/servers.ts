// Real servers for the tests of queues, each of this process alone: in a folder of its own, on a free port, gone at the
// end.

import { type ChildProcess, execFileSync, spawn, spawnSync } from "node:child_process";
import { chownSync, existsSync, mkdtempSync, readdirSync, rmSync } from "node:fs";
import { connect, createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

/** A server at work. */
export interface Server {
  /** As `--queue` takes it, with a password. */
  readonly url: string;
  stop(): Promise<void>;
}

/** PostgreSQL's programs, as Debian and others place them; undefined where there are none. */
export function postgresFolder(): string | undefined {
  const versions = "/usr/lib/postgresql";
  const folders = existsSync(versions) ? readdirSync(versions).map((version) => join(versions, version, "bin")) : [];
  return [...folders, "/usr/bin", "/usr/local/bin"].find((folder) => existsSync(join(folder, "initdb")));
}

/** Valkey or Redis. */
export const valkeyProgram = (): string | undefined =>
  ["valkey-server", "redis-server"].find((name) => spawnSync(name, ["--version"]).status === 0);

/** PostgreSQL refuses to run as root. */
function ordinaryUser(): { readonly uid?: number; readonly gid?: number } {
  if (process.getuid?.() !== 0) return {};
  const id = (flag: string) => Number(spawnSync("id", [flag, "postgres"], { encoding: "utf8" }).stdout || 65534);
  return { uid: id("-u"), gid: id("-g") };
}

/** A port that nobody has. */
export function freePort(): Promise<number> {
  return new Promise((resolve) => {
    const server = createServer();
    server.listen(0, "127.0.0.1", () => {
      const address = server.address();
      server.close(() => resolve(typeof address === "object" && address ? address.port : 0));
    });
  });
}

async function answers(port: number, isReady: () => boolean | Promise<boolean> = () => listens(port)): Promise<void> {
  for (let waited = 0; waited < 20_000; waited += 50) {
    if (await isReady()) return;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  throw new Error(`nothing answers on port ${port}`);
}

const listens = (port: number): Promise<boolean> =>
  new Promise((resolve) => {
    const socket = connect(port, "127.0.0.1", () => resolve(true)).on("error", () => resolve(false));
    socket.on("connect", () => socket.destroy());
  });

function ended(child: ChildProcess, signal: NodeJS.Signals, folder: string): () => Promise<void> {
  return () =>
    new Promise((resolve) => {
      child.on("close", () => {
        rmSync(folder, { recursive: true, force: true });
        resolve();
      });
      child.kill(signal);
    });
}

/** PostgreSQL with a new cluster, which trusts this machine. */
export async function startPostgres(): Promise<Server> {
  const bin = postgresFolder() ?? "";
  const user = ordinaryUser();
  const folder = mkdtempSync(join(tmpdir(), "sortie-postgres-"));
  if (user.uid !== undefined && user.gid !== undefined) chownSync(folder, user.uid, user.gid);
  const data = join(folder, "data");
  const quick = ["-D", data, "-A", "trust", "-U", "sortie", "--no-sync", "-E", "UTF8", "--locale=C"];
  execFileSync(join(bin, "initdb"), quick, { ...user, cwd: folder, stdio: "pipe" });
  const port = await freePort();
  const settings = ["fsync=off", `unix_socket_directories=${folder}`, "listen_addresses=127.0.0.1"];
  const args = ["-D", data, "-p", String(port), ...settings.flatMap((each) => ["-c", each])];
  const child = spawn(join(bin, "postgres"), args, { ...user, cwd: folder, stdio: "ignore" });
  // It listens before it is ready for anybody.
  const asked = ["-q", "-h", "127.0.0.1", "-p", String(port)];
  await answers(port, () => spawnSync(join(bin, "pg_isready"), asked).status === 0);
  return { url: `postgres://sortie:hush-hush@127.0.0.1:${port}/postgres`, stop: ended(child, "SIGINT", folder) };
}

/** Valkey or Redis, which keeps nothing. */
export async function startValkey(): Promise<Server> {
  const folder = mkdtempSync(join(tmpdir(), "sortie-valkey-"));
  const port = await freePort();
  const args = [
    "--port",
    String(port),
    "--bind",
    "127.0.0.1",
    "--save",
    "",
    "--dir",
    folder,
    "--requirepass",
    "hush-hush",
  ];
  const child = spawn(valkeyProgram() ?? "", args, { stdio: "ignore" });
  await answers(port);
  return { url: `redis://:hush-hush@127.0.0.1:${port}`, stop: ended(child, "SIGTERM", folder) };
}

/** A server of S3's protocol with a bucket, and what an environment must hold to reach it. */
export async function startS3(bucket: string): Promise<Server & { readonly env: Readonly<Record<string, string>> }> {
  const folder = mkdtempSync(join(tmpdir(), "sortie-s3-"));
  const port = await freePort();
  const program = fileURLToPath(new URL("../../node_modules/s3rver/bin/s3rver.js", import.meta.url));
  const args = [program, "--directory", folder, "--port", String(port), "--silent", "--configure-bucket", bucket];
  const child = spawn(process.execPath, args, { stdio: "ignore" });
  await answers(port);
  const url = `http://127.0.0.1:${port}`;
  const keys = { AWS_ACCESS_KEY_ID: "S3RVER", AWS_SECRET_ACCESS_KEY: "S3RVER", AWS_REGION: "us-east-1" };
  return { url, env: { ...keys, AWS_ENDPOINT_URL_S3: url }, stop: ended(child, "SIGTERM", folder) };
}
