// One process a run folder: who holds it is named, the dead hold nothing, and only one of many gets it.

import { spawn, spawnSync } from "node:child_process";
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { hostname, tmpdir } from "node:os";
import { join } from "node:path";
import { lockFolder } from "../../exits/index.ts";
import { assert, errorOf, failsWith, suite } from "../harness.ts";

const test = suite("exits: lock of a run folder");
const root = mkdtempSync(join(tmpdir(), "sortie-lock-"));
test.after(() => rmSync(root, { recursive: true }));
const folder = (name: string) => join(root, name);
const file = (name: string) => join(root, name, "lock.json");

/** Leaves a lock as a process of this number, on this machine, would have. */
async function left(name: string, holder: object | string): Promise<void> {
  await (await lockFolder("train", folder(name))).release();
  writeFileSync(file(name), typeof holder === "string" ? holder : JSON.stringify(holder));
}

test("a second one is refused by name, and gets the folder once the first lets go", async () => {
  const first = await lockFolder("train", folder("a"));
  const { name, message } = await errorOf(() => lockFolder("train", folder("a")));
  assert.is(name, "TrainingError");
  assert.match(
    message,
    /^train: .*\/a must be free; this process has it since \d{4}-.*Z\. Wait for it, or choose another folder\.$/,
  );
  await first.release();
  assert.equal(readdirSync(folder("a")), []);
  const second = await lockFolder("train", folder("a"));
  // Letting go twice must not take the folder from who has it now.
  await first.release();
  assert.ok(existsSync(file("a")));
  await second.release();
});

test("what a dead process, another process of its number, or nobody left is taken over", async () => {
  const { pid } = spawnSync(process.execPath, ["-e", ""]);
  const since = "2026-01-01T00:00:00.000Z";
  await left("dead", { pid, host: hostname(), began: "", since });
  await (await lockFolder("train", folder("dead"))).release();
  await left("number", { pid: process.pid, host: hostname(), began: "another boot 12", since });
  await (await lockFolder("train", folder("number"))).release();
  for (const text of ["", "{", "null", '{"pid":-1}', '{"pid":"1"}']) {
    await left("damaged", text);
    await (await lockFolder("train", folder("damaged"))).release();
  }
  assert.equal(readdirSync(folder("damaged")), []);
});

test("a lock that is no file is told, a link to nowhere too, and so is a folder that cannot be one", async () => {
  const refuses = async (name: string, got: string) =>
    assert.is(
      (await errorOf(() => lockFolder("train", folder(name)))).message,
      `train: ${file(name)} must be a file of sortie; got ${got}. Delete it, or choose another folder.`,
    );
  for (const name of ["dangling", "linked", "nested"]) mkdirSync(folder(name));
  symlinkSync(join(root, "nowhere"), file("dangling"));
  await refuses("dangling", "a link");
  writeFileSync(join(root, "stranger"), "{}");
  symlinkSync(join(root, "stranger"), file("linked"));
  await refuses("linked", "a link");
  mkdirSync(file("nested"));
  await refuses("nested", "a folder");
  for (const name of ["dangling", "linked", "nested"]) assert.equal(readdirSync(folder(name)), ["lock.json"]);
  const occupied = join(root, "stranger");
  for (const dir of [occupied, join(occupied, "below")])
    await failsWith(
      () => lockFolder("train", dir),
      "TrainingError",
      `train: dir must be a folder; got ${dir}, where a file is in the way.`,
    );
  const dir = 5 as unknown as string;
  await failsWith(() => lockFolder("train", dir), "TrainingError", "train: dir must be the path of a folder; got 5.");
});

test("one on another machine is never taken over", async () => {
  await left("far", { pid: 1, host: "another-host", began: "", since: "2026-01-01T00:00:00.000Z" });
  assert.match(
    (await errorOf(() => lockFolder("train", folder("far")))).message,
    /process 1 on another-host has it since 2026-01-01T00:00:00\.000Z\. If it is gone, delete .*\/far\/lock\.json; else choose another folder\.$/,
  );
});

const holder = `
  const { lockFolder } = await import(${JSON.stringify(new URL("../../exits/run/lock.ts", import.meta.url).href)});
  await lockFolder("train", process.argv[1]).then(() => console.log("taken"), (error) => console.log(error.message));
  setTimeout(() => {}, 60_000);`;

test("of many processes one gets a dead process's folder; when it is killed the next may have it", async () => {
  const { pid } = spawnSync(process.execPath, ["-e", ""]);
  await left("race", { pid, host: hostname(), began: "", since: "2026-01-01T00:00:00.000Z" });
  const start = () => {
    const args = ["--import", "tsx", "--input-type=module", "-e", holder, folder("race")];
    const child = spawn(process.execPath, args, { stdio: ["ignore", "pipe", "inherit"] });
    return new Promise<{ child: typeof child; line: string }>((resolve) => {
      child.stdout.setEncoding("utf8").once("data", (text: string) => resolve({ child, line: text.trim() }));
    });
  };
  const all = await Promise.all([start(), start(), start()]);
  const taken = all.filter(({ line }) => line === "taken");
  assert.is(taken.length, 1, all.map(({ line }) => line).join("\n"));
  const winner = taken[0]!.child;
  for (const { line } of all.filter((one) => one.child !== winner)) assert.match(line, `process ${winner.pid} on `);
  const ends = all.map(({ child }) => new Promise((resolve) => child.once("exit", resolve)));
  for (const { child } of all) child.kill("SIGKILL");
  await Promise.all(ends);
  assert.ok(readFileSync(file("race"), "utf8").includes(String(winner.pid)));
  await (await lockFolder("train", folder("race"))).release();
});
