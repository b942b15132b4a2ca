// The report in Chromium: whole on wide and narrow screens, in light and dark, without a request or a script; nothing
// that axe-core knows keeps people from using it; and the page of a run that still trains follows it.

import { appendFileSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import type { AxeResults } from "axe-core";
import { type Browser, chromium, type Page } from "playwright-core";
import { runReport } from "../../cli/commands/report.ts";
import { main } from "../../cli/main.ts";
import { writeRun } from "../cli/synthetic-run.ts";
import { assert, suite } from "../harness.ts";
import { CHROMIUM, FLAGS, isOptional, skip } from "./serving.ts";

const reports = suite("report in a browser", { skip, isOptional, timeout: 120_000 });
const run = mkdtempSync(join(tmpdir(), "sortie-browser-"));
let viewer: Browser;

reports.before(async () => {
  writeRun(run);
  viewer = await chromium.launch({ executablePath: CHROMIUM, args: FLAGS });
});

reports.after(async () => {
  await viewer?.close();
  rmSync(run, { recursive: true });
});

/** What is wrong with a page, as text, and how much there is on it. Runs inside the browser. */
function inspect(): { faults: string[]; plots: number; pictures: number } {
  const faults: string[] = [];
  const plots = [...document.querySelectorAll("svg")];
  for (const plot of plots) {
    const name = plot.getAttribute("aria-label");
    const frame = plot.getBoundingClientRect();
    if (frame.width < 100 || frame.height < 100) faults.push(`${name} is ${frame.width} x ${frame.height}`);
    for (const text of plot.querySelectorAll("text")) {
      const box = text.getBoundingClientRect();
      const isInside =
        box.left >= frame.left - 1 &&
        box.right <= frame.right + 1 &&
        box.top >= frame.top - 1 &&
        box.bottom <= frame.bottom + 1;
      if (!isInside) faults.push(`${name} cuts "${text.textContent}"`);
    }
  }
  const pictures = [...document.querySelectorAll("img")];
  for (const picture of pictures) if (picture.naturalWidth === 0) faults.push(`no picture of ${picture.alt}`);
  const { scrollWidth, clientWidth } = document.documentElement;
  if (scrollWidth > clientWidth) faults.push(`the page is ${scrollWidth} wide in a window of ${clientWidth}`);
  return { faults, plots: plots.length, pictures: pictures.length };
}

const AXE = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");

/** What axe-core finds on a page, as text. */
async function barriers(tab: Page): Promise<string[]> {
  await tab.evaluate(AXE);
  const { violations } = await tab.evaluate(() =>
    (globalThis as unknown as { axe: { run(): Promise<AxeResults> } }).axe.run(),
  );
  return violations.map(({ id, nodes }) => `${id}: ${nodes.map(({ html }) => html.slice(0, 120)).join(" | ")}`);
}

/** Places that the tabulator key comes to, from the first to the last; each must be seen to have it. */
async function stopsOf(tab: Page): Promise<string[]> {
  const stops: string[] = [];
  for (;;) {
    await tab.keyboard.press("Tab");
    const { name, outline } = await tab.evaluate(() => {
      const at = document.activeElement as HTMLElement;
      return { name: at.tagName === "BODY" ? "" : at.tagName, outline: getComputedStyle(at).outlineStyle };
    });
    if (name === "") return stops;
    stops.push(outline === "none" ? `${name} unseen` : name);
  }
}

/** Makes the run's report after `flags` of calibrate, and opens it in a window of a width. */
async function openReport(flags: readonly string[], width: number, colorScheme: "light" | "dark" = "light") {
  const silent = () => {};
  await main(["calibrate", run, ...flags], silent);
  const out = join(run, "report.html");
  assert.is(await main(["report", run, "--out", out], silent), 0);
  const tab = await viewer.newPage({ viewport: { width, height: 800 }, colorScheme });
  const said: string[] = [];
  tab.on("console", (message) => said.push(message.text()));
  tab.on("pageerror", ({ message }) => said.push(message));
  tab.on("request", (request) => said.push(`asks for ${request.url().slice(0, 80)}`));
  // A quiet network alone would not do: on a busy machine it is quiet before the page is read to its end.
  await tab.goto(pathToFileURL(out).href, { waitUntil: "load" });
  await tab.waitForLoadState("networkidle");
  const found = await tab.evaluate(inspect);
  const kept = await barriers(tab);
  const stops = await stopsOf(tab);
  const shots = process.env["SORTIE_SHOTS"];
  if (shots) await tab.screenshot({ path: join(shots, `report-${width}-${colorScheme}.png`), fullPage: true });
  await tab.close();
  // The page itself and the pictures within it are no requests to anywhere.
  const own = [`asks for ${pathToFileURL(out).href.slice(0, 80)}`, "asks for data:image/png;base64,"];
  return { ...found, barriers: kept, stops, said: said.filter((line) => !own.some((start) => line.startsWith(start))) };
}

reports("a report needs nothing but itself, and cuts nothing off", async () => {
  for (const [width, scheme] of [
    [1000, "light"],
    [375, "dark"],
  ] as const) {
    const { said, faults, barriers, stops, plots, pictures } = await openReport(["--alpha", "0.2"], width, scheme);
    assert.equal([...said, ...faults, ...barriers], []);
    assert.ok(stops.length >= 5 && stops.every((stop) => ["DIV", "PRE", "SUMMARY"].includes(stop)), stops.join());
    // shares, accuracy, two of targets, of difficulty and of learning, one of each exit's reliability
    assert.is(plots, 11);
    assert.ok(pictures > 10, `${pictures} pictures`);
  }
});

reports("a report of a refusal does too", async () => {
  const { said, faults, barriers, plots, pictures } = await openReport(["--alpha", "0.0005"], 1000, "dark");
  assert.equal([...said, ...faults, ...barriers], []);
  assert.is(plots, 9);
  assert.is(pictures, 14);
});

reports("on paper nothing is cut off, dark screen or not", async () => {
  const tab = await viewer.newPage({ viewport: { width: 680, height: 900 }, colorScheme: "dark" });
  await tab.goto(pathToFileURL(join(run, "report.html")).href);
  await tab.emulateMedia({ media: "print" });
  const [ink, paper, cut] = await tab.evaluate(() => {
    const { color, backgroundColor } = getComputedStyle(document.body);
    const scrolls = [...document.querySelectorAll(".scroll, pre")];
    const cut = scrolls.filter((part) => part.scrollWidth > part.clientWidth + 1).map((part) => part.textContent);
    return [color, backgroundColor, cut] as const;
  });
  assert.equal([ink, paper, cut], ["rgb(29, 39, 51)", "rgb(255, 255, 255)", []]);
  const shots = process.env["SORTIE_SHOTS"];
  if (shots) await tab.pdf({ path: join(shots, "report.pdf") });
  await tab.close();
});

reports("the page of a run that still trains follows it, and keeps its place", async () => {
  const dir = writeRun(mkdtempSync(join(tmpdir(), "sortie-live-")));
  const record = JSON.parse(readFileSync(join(dir, "run.json"), "utf8"));
  for (const split of ["validation", "calibration", "test"]) rmSync(join(dir, `logits.${split}.safetensors`));
  writeFileSync(join(dir, "run.json"), JSON.stringify({ ...record, finished: undefined }));
  const stop = new AbortController();
  let ended: Promise<number> | undefined;
  const said = await new Promise<string>((resolve, reject) => {
    ended = runReport([dir, "--watch"], resolve, stop.signal);
    ended.catch(reject);
  });
  const address = /http:\S+\//.exec(said)![0];
  const tab = await viewer.newPage({ viewport: { width: 375, height: 700 } });
  const faults: string[] = [];
  tab.on("console", (message) => faults.push(message.text()));
  tab.on("pageerror", ({ message }) => faults.push(message));
  tab.on("request", (request) => {
    if (!request.url().startsWith(address)) faults.push(request.url());
  });
  await tab.goto(address);
  assert.match(await tab.innerText("body"), /step 20.*has not come to its end/s);
  assert.equal(await barriers(tab), []);
  await tab.locator("summary").focus();
  const scores = [1, 2, 3].map(() => ({ loss: 0.25, accuracy: 0.75 }));
  const row = { kind: "train", step: 31, epoch: 2, loss: 1, lr: 0.1, exits: scores, imagesPerSecond: 77 };
  appendFileSync(join(dir, "metrics.jsonl"), `${JSON.stringify(row)}\n`);
  await tab.waitForFunction(() => document.body.textContent!.includes("step 31"), undefined, { timeout: 30_000 });
  assert.match(await tab.innerText("header"), "77 images a second");
  assert.is(await tab.evaluate(() => document.activeElement!.tagName), "SUMMARY");
  // The run comes to its end.
  writeRun(dir);
  await tab.waitForFunction(() => document.querySelectorAll("h2").length > 5, undefined, { timeout: 30_000 });
  assert.equal(await barriers(tab), []);
  stop.abort();
  assert.is(await ended, 0);
  const isOver = () => document.querySelector("[role=status]")!.textContent === "ended";
  await tab.waitForFunction(isOver, undefined, { timeout: 30_000 });
  await tab.close();
  rmSync(dir, { recursive: true });
  // What the browser says of a server that is gone.
  assert.equal(
    faults.filter((text) => !/ERR_CONNECTION_(REFUSED|RESET)/.test(text)),
    [],
  );
});
