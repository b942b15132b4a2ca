// A live block in headless Chromium: run, changed, put back, stopped, wrong, and told why where WebGPU is missing; and
// how its text becomes a program.

import { readFileSync } from "node:fs";
import type { Server } from "node:http";
import type { AddressInfo } from "node:net";
import { fileURLToPath } from "node:url";
import { type Browser, chromium, type Page } from "playwright-core";
import { runProgram } from "../../site/live/program.ts";
import { show } from "../../site/live/show.ts";
import { bundle, CHROMIUM, FLAGS, isOptional, serve, skip } from "../browser/serving.ts";
import { assert, errorOf, suite } from "../harness.ts";

const CODE = `import { createDevice, tensor } from "sortie/engine";
const device = await createDevice();
console.log("twice", await tensor([1, 2.5]).mul(2).read());`;

const page = [
  'import { defineLiveCode } from "../site/live/element.ts";',
  "document.body.innerHTML = '<live-code><div><pre><code></code></pre></div></live-code>';",
  `document.querySelector("code").textContent = ${JSON.stringify(CODE)};`,
  'defineLiveCode("/worker.js");',
].join("\n");

const test = suite("live code in a browser", { skip, isOptional, timeout: 60_000 });
let server: Server;
let browser: Browser;
let tab: Page;

const open = async (lacksGpu: boolean): Promise<Page> => {
  const opened = await browser.newPage();
  if (lacksGpu) await opened.addInitScript("delete Navigator.prototype.gpu;");
  await opened.goto(`http://127.0.0.1:${(server.address() as AddressInfo).port}/`);
  await opened.waitForFunction(() => customElements.get("live-code") !== undefined);
  return opened;
};

/** Waits until the block is done, and says what it printed and how it ended. */
async function ended(how: RegExp): Promise<string> {
  await tab.locator("live-code [role=status]").filter({ hasText: how }).waitFor();
  return (await tab.locator("live-code [role=log]").innerText()).trim();
}

test.before(async () => {
  const folder = new URL("../../site/live/", import.meta.url);
  const worker = await bundle(readFileSync(new URL("worker.ts", folder), "utf8"), fileURLToPath(folder));
  server = await serve(await bundle(page), { "/worker.js": ["text/javascript", worker] });
  browser = await chromium.launch({ executablePath: CHROMIUM, args: FLAGS });
  tab = await open(false);
});

test.after(async () => {
  await browser?.close();
  server?.close();
});

test("runs at the press of its button, and prints", async () => {
  await tab.getByRole("button", { name: "Run" }).click();
  assert.is(await ended(/^done after/), "twice Float32Array(2) [2, 5]");
});

test("runs what was typed, by keys alone, and takes it back", async () => {
  const code = tab.getByRole("textbox");
  await code.focus();
  await tab.keyboard.press("Control+End");
  await tab.keyboard.type('\nconsole.log("typed");');
  await tab.keyboard.press("Control+Enter");
  assert.is(await ended(/^done after/), "twice Float32Array(2) [2, 5]\ntyped");
  await tab.getByRole("button", { name: "Undo changes" }).click();
  assert.is(await code.textContent(), CODE);
});

test("says what is wrong", async () => {
  const code = tab.getByRole("textbox");
  await code.fill('import { tensors } from "sortie/engine";');
  await tab.getByRole("button", { name: "Run" }).click();
  assert.is(await ended(/^failed after/), "Error: import: sortie/engine exports no tensors.");
});

test("is stopped while it runs for ever, and the page stays responsive", async () => {
  await tab.getByRole("textbox").fill('console.log("begun"); for (;;);');
  await tab.getByRole("button", { name: "Run" }).click();
  await tab.locator("live-code [role=log]").filter({ hasText: "begun" }).waitFor();
  await tab.getByRole("button", { name: "Stop" }).click();
  assert.is(await ended(/^stopped$/), "begun");
});

test("says plainly where WebGPU is missing, and runs nothing", async () => {
  const without = await open(true);
  assert.match(await without.locator("live-code").getByRole("status").innerText(), /^This browser has no WebGPU/);
  assert.ok(await without.getByRole("button", { name: "Run" }).isDisabled());
  await without.close();
});

const program = suite("text of a live block");

const runText = async (text: string): Promise<unknown[][]> => {
  const printed: unknown[][] = [];
  const modules = { "sortie/engine": async () => ({ one: 1, two: 2 }) };
  await runProgram(text, modules, (...values) => printed.push(values));
  return printed;
};

program("imports names, some by others, over several lines", async () => {
  const text =
    'import {\n  one,\n  two as both,\n} from "sortie/engine";\nawait null;\nconsole.log(one, both);\nconsole.log(3);';
  assert.equal(await runText(text), [[1, 2], [3]]);
});

program("is told what it may import, and what there is not", async () => {
  const message = async (text: string): Promise<string> => (await errorOf(() => runText(text))).message;
  assert.is(await message('import { x } from "nowhere";'), "import: must be of sortie/engine; got nowhere.");
  assert.is(await message('import { three } from "sortie/engine";'), "import: sortie/engine exports no three.");
});

program("an error names the line that the reader sees", async () => {
  const error = await errorOf(() => runText('import {\n  one,\n} from "sortie/engine";\n\nthrow new Error("here");'));
  // The engine puts two lines of its own in front of a function's text.
  const [, line] = /<anonymous>:(\d+):\d+/.exec(error.stack ?? "") ?? [];
  assert.is(Number(line) - 2, 5);
});

program("values are printed as short texts", () => {
  assert.is(show("as it is"), "as it is");
  assert.is(show(Math.fround(0.1)), "0.1");
  assert.is(show(new Float32Array(14)), `Float32Array(14) [${"0, ".repeat(12)}...]`);
  assert.is(show([1, "two", null, { three: [3] }]), '[1, "two", null, { three: [3] }]');
  assert.is(show(new RangeError("no")), "RangeError: no");
  assert.is(show(undefined), "undefined");
});
