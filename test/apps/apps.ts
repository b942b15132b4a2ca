// The apps of examples/ as their readers get them: installed with the packed package in place of the published one,
// built, opened in a browser and walked through.

import { spawn } from "node:child_process";
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { fileURLToPath } from "node:url";
import { encode } from "fast-png";
import { type Browser, chromium, type Page } from "playwright-core";
import { glyphs } from "../../data/index.ts";
import { load, readModel } from "../../exits/index.ts";
import { serveFolder } from "../../scripts/lab.ts";
import { CHROMIUM, FLAGS } from "../browser/serving.ts";
import { assert } from "../harness.ts";
import { install, printed } from "../packed.ts";

const root = fileURLToPath(new URL("../../", import.meta.url));
/** Milliseconds that a step in a page may take: adapters in software are slow, and not alone. */
const LONG = 180_000;
const MODEL = join(root, "site/lab/models/glyphs.sortie.safetensors");

/** Copies of the apps in one folder, a browser, and the way through each app. */
export class Apps {
  readonly #folder = mkdtempSync(join(tmpdir(), "sortie-apps-"));
  readonly #browser: Browser;
  /** Where screenshots go, if anywhere. */
  readonly #shots: string | undefined;

  private constructor(browser: Browser, shots: string | undefined) {
    this.#browser = browser;
    this.#shots = shots;
  }

  static async open(tarball: string, shots?: string): Promise<Apps> {
    const apps = new Apps(await chromium.launch({ executablePath: CHROMIUM, args: FLAGS }), shots);
    for (const name of Object.keys(WAYS)) {
      const folder = apps.at(name);
      const isOurs = (path: string): boolean => !/^(node_modules|dist|\.next)$/.test(basename(path));
      cpSync(join(root, "examples", name), folder, { recursive: true, filter: isOurs });
      const own = readFileSync(join(folder, "package.json"), "utf8");
      writeFileSync(join(folder, "package.json"), own.replace(/("sortie": )"[^"]+"/, `$1${JSON.stringify(tarball)}`));
    }
    return apps;
  }

  at(name: string, ...path: string[]): string {
    return join(this.#folder, name, ...path);
  }

  /** Installs an app, builds it if there is something to build, and walks through its page. */
  async walk(name: keyof typeof WAYS): Promise<void> {
    install(this.at(name));
    await WAYS[name](this);
  }

  /** Builds an app. @throws AssertionError for whatever a bundler warns of */
  build(name: string, ...args: string[]): void {
    const said = printed(this.at(name), "npm", "run", "build", "--", ...args);
    assert.equal(
      said.split("\n").filter((line) => /warn|critical|⚠|\(!\)/i.test(line)),
      [],
      said,
    );
  }

  /** Opens a page that is served, does something there, and looks at what went wrong unsaid. */
  async visit(name: string, address: string, work: (page: Page) => Promise<void>): Promise<void> {
    const page = await this.#browser.newPage({ acceptDownloads: true });
    page.setDefaultTimeout(LONG);
    const complaints: string[] = [];
    page.on("pageerror", (error) => complaints.push(String(error)));
    page.on("console", (message) => {
      if (["error", "warning"].includes(message.type())) complaints.push(message.text());
    });
    try {
      await page.goto(address);
      await work(page);
      await this.#look(name, page);
      assert.equal(complaints, [], name);
    } finally {
      await page.close();
    }
  }

  /** Whether all is there on a phone, in the dark. */
  async #look(name: string, page: Page): Promise<void> {
    for (const [colorScheme, width] of [
      ["light", 1000],
      ["dark", 375],
    ] as const) {
      await page.emulateMedia({ colorScheme });
      await page.setViewportSize({ width, height: 800 });
      const excess = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
      assert.ok(excess <= 0, `${name} is ${excess} pixels wider than ${width}`);
      if (this.#shots) await page.screenshot({ path: join(this.#shots, `${name}-${colorScheme}.png`), fullPage: true });
    }
  }

  async close(): Promise<void> {
    await this.#browser.close();
    rmSync(this.#folder, { recursive: true });
  }
}

const addressOf = (server: Server): string => `http://127.0.0.1:${(server.address() as AddressInfo).port}/`;

/** Serves a folder while something is done. */
async function served(folder: string, work: (address: string) => Promise<void>): Promise<void> {
  const server = await serveFolder(folder, 0);
  try {
    await work(addressOf(server));
  } finally {
    server.closeAllConnections();
    server.close();
  }
}

/** The page has no GPU; its worker does. */
const withoutGpu = (page: Page): Promise<void> =>
  page.evaluate(() => void Reflect.deleteProperty(Navigator.prototype, "gpu"));

/** Saves what a link downloads. */
async function saved(page: Page, link: string): Promise<Buffer> {
  const [file] = await Promise.all([page.waitForEvent("download"), page.getByRole("link", { name: link }).click()]);
  return readFileSync(await file.path());
}

/** Twenty steps are chosen: 640 pictures in batches of 32. */
async function trainTwentySteps(page: Page): Promise<void> {
  await withoutGpu(page);
  await page.getByLabel("Drawings").selectOption("640");
  await page.getByLabel("Epochs").selectOption("1");
  await page.getByRole("button", { name: "Train" }).click();
  await page
    .getByRole("status")
    .filter({ hasText: /^Trained/ })
    .first()
    .waitFor();
  assert.is(await page.locator("progress").evaluate((bar) => `${(bar as HTMLProgressElement).value}`), "20");
  assert.is(page.workers().length, 1);
}

/** What the page says of its file, and what the file says of itself. */
async function sameAnswers(page: Page, link: string): Promise<Buffer> {
  await page.locator("#same").filter({ hasText: "answers 200 of 200" }).waitFor();
  const file = await saved(page, link);
  const { record } = await readModel(file);
  assert.equal([record.classes.length, record.exits.length], [10, 3]);
  assert.is(record.guarantee, await page.textContent("#promise"));
  return file;
}

/** A picture of the set that the models were trained on. */
const drawing = (): { name: string; mimeType: string; buffer: Buffer } => {
  const { test } = glyphs({ train: 1, validation: 1, calibration: 1, test: 10, seed: 1 });
  const buffer = Buffer.from(encode({ width: 28, height: 28, channels: 1, data: test.images.slice(0, 28 * 28) }));
  return { name: "drawing.png", mimeType: "image/png", buffer };
};

/** What the component of the hook is asked, and what the same model answers here. */
async function chooseAPicture(page: Page): Promise<void> {
  const picture = drawing();
  await page.getByLabel("Pictures").setInputFiles(picture);
  using classifier = await load(MODEL);
  const { classes, exits } = await classifier.classify(new Blob([new Uint8Array(picture.buffer)]));
  const name = classifier.model.classes[classes[0]!];
  await page
    .getByRole("listitem")
    .filter({ hasText: `${name}, known at exit ${exits[0]! + 1} of 3` })
    .waitFor();
}

/** Fails, is tried again, answers, goes, and comes again. */
async function comeAndGo(page: Page): Promise<void> {
  const model = "**/model.sortie.safetensors";
  await page.route(model, (route) => route.fulfill({ contentType: "text/html", body: "<!doctype html>" }));
  await page.reload();
  await page.getByRole("alert").filter({ hasText: "load: " }).waitFor();
  await page.unroute(model);
  await page.getByRole("button", { name: "Try again" }).click();
  await chooseAPicture(page);
  await page.getByRole("button", { name: "Take it away" }).click();
  await page.getByLabel("Pictures").waitFor({ state: "detached" });
  await page.getByRole("button", { name: "Put it back" }).click();
  await chooseAPicture(page);
}

const WAYS = {
  async html(apps: Apps) {
    await served(apps.at("html"), (address) =>
      apps.visit("html", address, async (page) => {
        await trainTwentySteps(page);
        await sameAnswers(page, "Save the model");
      }),
    );
  },

  async vite(apps: Apps) {
    apps.build("vite");
    await served(apps.at("vite", "dist"), (address) =>
      apps.visit("vite", address, async (page) => {
        await trainTwentySteps(page);
        await page.getByRole("slider").press("End");
        await page.getByRole("button", { name: "Calibrate" }).click();
        await page.locator("#verdict").filter({ hasText: "Certified." }).waitFor();
        const file = await sameAnswers(page, "Save the model file");
        const model = { name: "mine.safetensors", mimeType: "", buffer: file };
        await page.getByLabel("Open a model file").setInputFiles(model);
        await page.getByRole("status").filter({ hasText: "mine.safetensors is open." }).waitFor();
        await page.getByLabel("Draw here").hover();
        await page.mouse.down();
        await page.mouse.move(0, 0);
        await page.mouse.up();
        await page
          .locator("#answer")
          .filter({ hasText: /^\w+, .* known at exit \d of 3 / })
          .waitFor();
      }),
    );
  },

  /** Built by webpack; as for development too, where strict mode mounts everything twice. */
  async "react-hook"(apps: Apps) {
    cpSync(MODEL, apps.at("react-hook", "public/model.sortie.safetensors"));
    apps.build("react-hook");
    await served(apps.at("react-hook", "public"), (address) => apps.visit("react-hook", address, comeAndGo));
    apps.build("react-hook", "--mode", "development");
    await served(apps.at("react-hook", "public"), (address) => apps.visit("react-hook-strict", address, comeAndGo));
  },

  async next(apps: Apps) {
    cpSync(MODEL, apps.at("next", "public/model.sortie.safetensors"));
    apps.build("next");
    const port = await freePort();
    const next = apps.at("next", "node_modules/next/dist/bin/next");
    const server = spawn(process.execPath, [next, "start", "-p", String(port)], { cwd: apps.at("next") });
    try {
      const address = `http://127.0.0.1:${port}/`;
      await answering(address);
      // The server renders the page without the classifier.
      assert.match(await (await fetch(address)).text(), "Loading the page");
      await apps.visit("next", address, chooseAPicture);
    } finally {
      server.kill();
    }
  },
} as const;

export const APP_NAMES = Object.keys(WAYS) as (keyof typeof WAYS)[];

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
}

/** Waits until a server answers. */
async function answering(address: string): Promise<void> {
  for (let tries = 0; tries < 300; tries++) {
    const response = await fetch(address).catch(() => undefined);
    if (response?.ok) return;
    await new Promise((resolve) => setTimeout(resolve, 200));
  }
  throw new Error(`${address} does not answer`);
}
