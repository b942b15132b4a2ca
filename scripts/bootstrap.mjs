// Makes a fresh clone ready to run: node modules, then a WebGPU adapter. Plain Node, no dependency, quick when all is there.
// Usage: node scripts/bootstrap.mjs

import { execFileSync, spawn, spawnSync } from "node:child_process";
import { existsSync, readFileSync, statSync, utimesSync } from "node:fs";
import { constants } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { BACKPORTS_FILE, backportsLine, isBookworm, readEntries } from "./apt.mjs";

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const APT = "/usr/bin/apt-get";
const isRoot = process.getuid?.() === 0;

/** Installs what is missing. Ends the process with the command to run where it cannot. */
export function bootstrap({ adapter = true, browser = false } = {}) {
  const { engines } = JSON.parse(readFileSync(join(root, "package.json"), "utf8"));
  const fault = nodeFault(process.versions.node, engines.node);
  if (fault) stop(fault);
  installModules();
  if (adapter) installAdapter();
  if (browser) installBrowser();
}

/**
 * What is wrong with a version of Node, if anything: an older one fails later, and far from the cause.
 * @param {string} running e.g. `20.11.1`
 * @param {string} required of package.json, `>=20.16`
 * @returns {string | undefined}
 */
export function nodeFault(running, required) {
  const numbers = (/** @type {string} */ text) =>
    text
      .replace(/^[^\d]*/, "")
      .split(".")
      .map(Number.parseFloat);
  const [here, least] = [numbers(running), numbers(required)];
  const i = least.findIndex((number, k) => here[k] !== number);
  if (i < 0 || (here[i] ?? 0) > (least[i] ?? 0)) return undefined;
  return `Node must be ${required}; got ${running} (${process.execPath}). Install a newer one.`;
}

/**
 * Runs a TypeScript file with the arguments given. Signals are passed on to it, and its exit code is passed on from it.
 * @param {string} file
 * @param {string[]} args
 */
export function runScript(file, args) {
  const child = spawn(process.execPath, ["--import", "tsx", file, ...args], { cwd: root, stdio: "inherit" });
  for (const signal of /** @type {const} */ (["SIGINT", "SIGTERM", "SIGHUP"]))
    process.on(signal, () => child.kill(signal));
  child.on("error", (error) => stop(`${process.execPath} cannot be started: ${error.message}`));
  child.on("exit", (code, signal) => process.exit(code ?? 128 + (signal ? constants.signals[signal] : 0)));
}

/** `npm ci` when there are no node modules or the lock file changed since they were installed. */
function installModules() {
  const lock = join(root, "package-lock.json");
  const stamp = join(root, "node_modules", ".package-lock.json");
  if (existsSync(stamp) && statSync(stamp).mtimeMs >= statSync(lock).mtimeMs) return;
  console.log("installing node modules ...");
  run("npm", ["ci", "--no-audit", "--no-fund"]);
  utimesSync(stamp, new Date(), new Date());
}

/** On Linux without any adapter: Mesa's software Vulkan driver. Elsewhere the system brings one. */
function installAdapter() {
  if (process.platform !== "linux" || hasAdapter()) return;
  // Debian 12's own Mesa (22.3) lacks a feature that Dawn demands; backports has 25.
  const line = isBookworm() ? backportsLine(readEntries()) : undefined;
  const from = isBookworm() ? ["-t", "bookworm-backports"] : [];
  const install = ["apt-get", "install", "-y", "--no-install-recommends", ...from, "mesa-vulkan-drivers"];
  const commands = [["apt-get", "update"], install];
  if (line) commands.unshift(["sh", "-c", `echo '${line}' > ${BACKPORTS_FILE}`]);
  aptOrStop(commands, "no WebGPU adapter was found; the software Vulkan driver is missing");
  if (!hasAdapter())
    stop("the Vulkan driver is installed, but WebGPU still finds no adapter (run `vulkaninfo --summary`).");
}

/** Debian's chromium for test/browser.test.ts. Without root that suite is skipped, with its reason printed. */
function installBrowser() {
  if (!isRoot || !existsSync(APT) || existsSync("/usr/bin/chromium")) return;
  aptOrStop(
    [
      ["apt-get", "update"],
      ["apt-get", "install", "-y", "--no-install-recommends", "chromium"],
    ],
    "the browser test needs chromium",
  );
}

/** Asked in a process of its own: without an adapter Dawn may print, and a driver may crash. */
function hasAdapter() {
  const ask = `
    import { create } from "webgpu";
    globalThis.gpu = create([]);
    process.exit((await globalThis.gpu.requestAdapter()) ? 0 : 1);`;
  return spawnSync(process.execPath, ["--input-type=module", "-e", ask], { cwd: root, stdio: "ignore" }).status === 0;
}

/**
 * Runs the commands as root; prints them and stops otherwise.
 * @param {string[][]} commands
 * @param {string} why
 */
function aptOrStop(commands, why) {
  const asText = commands.map((command) => command.map(quote).join(" ")).join(" && ");
  if (!isRoot || !existsSync(APT)) stop(`${why}. As root, run:\n\n  ${asText}\n`);
  console.log(`${why}; running: ${asText}`);
  for (const [command = "", ...args] of commands) run(command, args);
}

/**
 * @param {string} command
 * @param {string[]} args
 */
function run(command, args) {
  const env = { ...process.env, DEBIAN_FRONTEND: "noninteractive" };
  try {
    execFileSync(command, args, { cwd: root, env, stdio: ["ignore", "inherit", "inherit"] });
  } catch (error) {
    stop(`\`${command} ${args.join(" ")}\` failed: ${String(error)}`);
  }
}

/** @param {string} word */
function quote(word) {
  return /^[\w@%+=:,./-]+$/.test(word) ? word : `"${word.replace(/["\\$`]/g, "\\$&")}"`;
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
