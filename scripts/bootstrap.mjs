// Makes a fresh clone ready to run: node modules, then a WebGPU adapter. Plain Node, no dependency, quick when all is
// there. Usage: node scripts/bootstrap.mjs

import { execFileSync, spawnSync } from "node:child_process";
import { existsSync, readFileSync, rmSync, statSync, utimesSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { BACKPORTS_FILE, backportsLine, readEntries } from "./apt.mjs";
import { adapterHelp, thisSystem } from "./systems.mjs";

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const APT = "/usr/bin/apt-get";
const isRoot = process.getuid?.() === 0;

/** Installs what is missing. Ends the process with the command to run where it cannot. */
export function bootstrap({ adapter = true, browser = false, servers = false } = {}) {
  const { engines } = JSON.parse(readFileSync(join(root, "package.json"), "utf8"));
  const fault = nodeFault(process.versions.node, engines.node);
  if (fault) stop(fault);
  installModules();
  if (adapter) installAdapter();
  if (browser) installBrowser();
  if (servers) installServers();
}

/**
 * What is wrong with a version of Node, if anything: an older one fails later, and far from the cause.
 * @param {string} running e.g. `20.11.1`
 * @param {string} required of package.json: `>=22.12.0`, `^20.19.0`, or several with `||` between
 * @returns {string | undefined}
 */
export function nodeFault(running, required) {
  const numbers = (/** @type {string} */ text) => text.split(".").map(Number.parseFloat);
  const here = numbers(running);
  const isFit = required.split("||").some((range) => {
    const [, sign, version = ""] = /^\s*(>=|\^)([\d.]+)\s*$/.exec(range) ?? [];
    const least = numbers(version);
    if (sign === "^" && here[0] !== least[0]) return false;
    const i = least.findIndex((number, k) => here[k] !== number);
    return i < 0 || (here[i] ?? 0) > (least[i] ?? 0);
  });
  if (isFit) return undefined;
  return `Node must be ${required}; got ${running} (${process.execPath}). Install a newer one.`;
}

/**
 * Runs a TypeScript file with the arguments given, as quietly as the command of the package.
 * @param {string} file
 * @param {string[]} args
 */
export async function runScript(file, args) {
  const { tsImport } = await import("tsx/esm/api");
  /** @type {typeof import("../cli/quiet.ts")} */
  const { runQuietly } = await tsImport("../cli/quiet.ts", import.meta.url);
  runQuietly(["--import", "tsx", file, ...args], { cwd: root });
}

/** `npm ci` when there are no node modules or the lock file changed since they were installed. */
function installModules() {
  const lock = join(root, "package-lock.json");
  const stamp = join(root, "node_modules", ".package-lock.json");
  if (existsSync(stamp) && statSync(stamp).mtimeMs >= statSync(lock).mtimeMs) return;
  console.log("installing node modules ...");
  // On Windows npm is a script of the shell; the words are all our own.
  const isWindows = process.platform === "win32";
  orStop(() => run(isWindows ? "npm.cmd" : "npm", ["ci", "--no-audit", "--no-fund"], { shell: isWindows }));
  utimesSync(stamp, new Date(), new Date());
}

/**
 * Without any adapter: Mesa's software Vulkan driver on Debian; elsewhere the user is told the system's own command.
 */
function installAdapter() {
  if (hasAdapter()) return;
  const system = thisSystem();
  const why = "no WebGPU adapter was found";
  if (system.ids[0] !== "debian") stop(`${why}. ${adapterHelp(system)}`);
  // Debian 12's own Mesa (22.3) lacks a feature that Dawn demands; backports has 25.
  const isOld = system.codename === "bookworm";
  const line = orStop(() => (isOld ? backportsLine(readEntries()) : undefined));
  const packages = [...(isOld ? ["-t", "bookworm-backports"] : []), "mesa-vulkan-drivers"];
  if (!canInstall()) stop(`${why}. As root, run:\n\n  ${aptText(packages, line)}\n`);
  console.log(`${why}; running: ${aptText(packages, line)}`);
  orStop(() => withSource(line, () => aptInstall(packages)));
  if (!hasAdapter())
    stop("the Vulkan driver is installed, but WebGPU still finds no adapter (run `vulkaninfo --summary`).");
}

/**
 * Debian's chromium for test/browser.test.ts. Where it cannot be had that suite is skipped, with its reason printed.
 */
function installBrowser() {
  if (existsSync("/usr/bin/chromium") || !canInstall() || thisSystem().ids[0] !== "debian") return;
  console.log(`the browser test needs chromium; running: ${aptText(["chromium"])}`);
  try {
    aptInstall(["chromium"]);
  } catch (error) {
    console.error(`bootstrap: ${messageOf(error)} The browser test will be skipped.`);
  }
}

/**
 * PostgreSQL and Valkey for test/cli/queue.test.ts, which starts its own. Debian starts them too when they are
 * installed, so that happens only on machines for tests; elsewhere these suites are skipped, with their reason printed.
 */
function installServers() {
  if (!process.env.CI || !canInstall() || thisSystem().ids[0] !== "debian") return;
  const missing = [
    ["postgresql", existsSync("/usr/lib/postgresql")],
    ["valkey-server", existsSync("/usr/bin/valkey-server") || existsSync("/usr/bin/redis-server")],
  ].flatMap(([name, isThere]) => (isThere ? [] : [String(name)]));
  if (missing.length === 0) return;
  // Debian 12 has Valkey in backports only.
  const isOld = thisSystem().codename === "bookworm";
  const packages = [...(isOld ? ["-t", "bookworm-backports"] : []), ...missing];
  console.log(`the tests of queues need servers; running: ${aptText(packages)}`);
  try {
    withSource(isOld ? backportsLine(readEntries()) : undefined, () => aptInstall(packages));
  } catch (error) {
    console.error(`bootstrap: ${messageOf(error)} The tests of queues will be skipped.`);
  }
}

/** Asked in a process of its own: without an adapter Dawn may print, and a driver may crash. */
function hasAdapter() {
  const ask = `
    import { create } from "webgpu";
    globalThis.gpu = create([]);
    process.exit((await globalThis.gpu.requestAdapter()) ? 0 : 1);`;
  return spawnSync(process.execPath, ["--input-type=module", "-e", ask], { cwd: root, stdio: "ignore" }).status === 0;
}

const canInstall = () => isRoot && existsSync(APT);

// Another apt may be at work, for instance the system's own updates right after its start.
const APT_OPTIONS = ["-o", "DPkg::Lock::Timeout=300", "-o", "Acquire::Retries=3"];

/** @param {string[]} packages */
function aptInstall(packages) {
  run(APT, [...APT_OPTIONS, "update"]);
  run(APT, [...APT_OPTIONS, "install", "-y", "--no-install-recommends", ...packages]);
}

/**
 * The same as a line to type.
 * @param {string[]} packages
 * @param {string | undefined} [line]
 */
function aptText(packages, line) {
  const source = line === undefined ? "" : `echo '${line}' > ${BACKPORTS_FILE} && `;
  return `${source}apt-get update && apt-get install -y --no-install-recommends ${packages.join(" ")}`;
}

/**
 * Does `install` with one more entry in apt's sources, which stays only if that succeeds.
 * @param {string | undefined} line
 * @param {() => void} install
 * @param {string} [file]
 */
export function withSource(line, install, file = BACKPORTS_FILE) {
  if (line === undefined) return install();
  const before = existsSync(file) ? readFileSync(file, "utf8") : undefined;
  writeFileSync(file, `${line}\n`);
  try {
    install();
  } catch (error) {
    if (before === undefined) rmSync(file, { force: true });
    else writeFileSync(file, before);
    throw error;
  }
}

/**
 * @param {string} command
 * @param {string[]} args
 * @param {{ shell?: boolean }} [options]
 */
function run(command, args, { shell = false } = {}) {
  const env = { ...process.env, DEBIAN_FRONTEND: "noninteractive" };
  try {
    execFileSync(command, args, { cwd: root, env, stdio: ["ignore", "inherit", "inherit"], shell });
  } catch (error) {
    throw new Error(`\`${command} ${args.join(" ")}\` failed: ${messageOf(error)}.`, { cause: error });
  }
}

/** @param {unknown} error */
const messageOf = (error) => (error instanceof Error ? error.message : String(error));

/**
 * @template T
 * @param {() => T} action
 * @returns {T}
 */
function orStop(action) {
  try {
    return action();
  } catch (error) {
    return stop(messageOf(error));
  }
}

/**
 * @param {string} message
 * @returns {never}
 */
function stop(message) {
  console.error(`bootstrap: ${message}`);
  process.exit(1);
}

if (process.argv[1] === fileURLToPath(import.meta.url)) bootstrap();
