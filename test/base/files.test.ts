// Files written whole or not at all, read only where there is a file, and text that a terminal may get.

import { execFileSync, spawnSync } from "node:child_process";
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { join } from "node:path";
import {
  diskFull,
  isDiskFull,
  leftovers,
  openFile,
  partOf,
  printable,
  readWhole,
  readWholeSync,
  SortieError,
  writeWhole,
  writeWholeSync,
} from "../../base/index.ts";
import { main } from "../../cli/main.ts";
import { inTemporaryFolder } from "../data/official.ts";
import { assert, errorOf, failsWith, suite } from "../harness.ts";

const isOptional = process.platform === "win32";
const test = suite("base: files", { skip: isOptional ? "no pipes among Windows' files" : undefined, isOptional });

/** The name under which a process that is no more was writing. */
function leftOf(path: string): string {
  const { pid } = spawnSync(process.execPath, ["-e", ""]);
  return partOf(path).replace(`.${process.pid}-`, `.${pid}-`);
}

const ways = { later: writeWhole, now: async (path: string, content: string) => writeWholeSync(path, content) };

for (const [name, write] of Object.entries(ways)) {
  test(`written ${name}: whole, under names that nobody can guess; what the dead left goes, what is being written stays`, () =>
    inTemporaryFolder(async (folder) => {
      const path = join(folder, "inner", "a.json");
      mkdirSync(join(folder, "inner"));
      await write(path, "one");
      assert.is(readFileSync(path, "utf8"), "one");
      const [left, other, theirs] = [leftOf(path), leftOf(join(folder, "inner", "b.json")), partOf(path)];
      // Of a number that is nobody's here, on another machine.
      const elsewhere = leftOf(path).replace(/-\w+(-[0-9a-f]{32})/, "-elsewhere$1");
      for (const each of [left, other, theirs, elsewhere]) writeFileSync(each, "half");
      assert.equal(await leftovers(path), [left]);
      await write(path, "two");
      assert.equal(
        new Set(readdirSync(join(folder, "inner")).map((name) => join(folder, "inner", name))),
        new Set([path, other, theirs, elsewhere]),
      );
    }));

  test(`written ${name}: no link is followed, and nothing but a file is replaced`, () =>
    inTemporaryFolder(async (folder) => {
      const precious = join(folder, "precious");
      writeFileSync(precious, "keep");
      const path = join(folder, "report.html");
      // Every name of a time before: of the sort that a stranger can guess.
      for (const guess of [`${path}.part`, `${path}.${process.pid}.tmp`, `${path}.${process.pid}`, path])
        symlinkSync(precious, guess);
      await write(path, "page");
      assert.is(readFileSync(precious, "utf8"), "keep");
      assert.is(readFileSync(path, "utf8"), "page");
      const pipe = join(folder, "pipe");
      execFileSync("mkfifo", [pipe]);
      await failsWith(() => write(pipe, "x"), "SortieError", `files: ${pipe} must be a file; got a pipe.`);
      await failsWith(() => write(folder, "x"), "SortieError", `files: ${folder} must be a file; got a folder.`);
      assert.is((await errorOf(() => write("/dev/null", "x"))).message, "files: /dev/null must be a file.");
      assert.ok(existsSync("/dev/null"));
    }));
}

test("a failed write leaves the old file and no half", () =>
  inTemporaryFolder(async (folder) => {
    const path = join(folder, "a");
    writeWholeSync(path, "old");
    const fs = process.getBuiltinModule("node:fs/promises");
    const { rename } = fs;
    fs.rename = () => Promise.reject(new Error("no room"));
    try {
      assert.is((await errorOf(() => writeWhole(path, "new"))).message, "no room");
    } finally {
      fs.rename = rename;
    }
    assert.equal(readdirSync(folder), ["a"]);
    assert.is(readFileSync(path, "utf8"), "old");
  }));

test("pipes, sockets, devices and folders are refused where a file is read, without waiting for them", () =>
  inTemporaryFolder(async (folder) => {
    const [pipe, socket, inner] = [join(folder, "pipe"), join(folder, "socket"), join(folder, "inner")];
    execFileSync("mkfifo", [pipe]);
    mkdirSync(inner);
    const server = createServer();
    await new Promise<void>((resolve) => server.listen(socket, resolve));
    for (const [path, kind] of [
      [pipe, "a pipe"],
      ["/dev/zero", "a device"],
      [inner, "a folder"],
    ] as const) {
      for (const read of [readWhole, async (path: string) => readWholeSync(path), openFile]) {
        await failsWith(() => read(path), "SortieError", `files: ${path} must be a file; got ${kind}.`);
      }
    }
    // The system itself opens no socket.
    assert.is(((await errorOf(() => readWhole(socket))) as NodeJS.ErrnoException).code, "ENXIO");
    server.close();
    rmSync(socket, { force: true });
    for (const command of ["evaluate", "calibrate", "report"]) {
      const lines: string[] = [];
      assert.is(
        await main([command, pipe, "--out", join(folder, "out")].slice(0, command === "evaluate" ? 2 : 4), (line) =>
          lines.push(line),
        ),
        1,
      );
      assert.is(lines[0], `${pipe} must be a readable file; got a pipe.`, command);
    }
    // Files of the system say that they are empty, and are not.
    assert.ok((await readWhole("/proc/self/stat").catch(() => new Uint8Array(1))).length > 0);
  }));

test("control characters of foreign files are written out, in errors and in what commands print", () =>
  inTemporaryFolder(async (folder) => {
    const evil = "\x1b]0;owned\x07 \u202egnp.exe\r\u009b2J\tkept\nkept";
    const plain = "\\x1b]0;owned\\x07 \\u202egnp.exe\\x0d\\x9b2J\tkept\nkept";
    assert.is(printable(evil), plain);
    assert.is(printable("Größe 5 µm, 日本, 👍🏽, e\u0301"), "Größe 5 µm, 日本, 👍🏽, e\u0301");
    assert.is(new SortieError(evil).message, plain);
    const lines: string[] = [];
    const path = join(folder, "x.safetensors");
    const header = JSON.stringify({
      logits: { dtype: "F32", shape: [1], data_offsets: [0, 4] },
      "\x1b[31m": { dtype: "F32", shape: [0], data_offsets: [4, 4] },
    });
    const length = Buffer.alloc(8);
    length.writeBigUInt64LE(BigInt(header.length));
    writeFileSync(path, Buffer.concat([length, Buffer.from(header), Buffer.alloc(4)]));
    assert.is(await main(["evaluate", path], (line) => lines.push(line)), 1);
    assert.equal(lines, [`${path}: the file must hold numbers "labels"; got logits, \\x1b[31m.`]);
  }));

test("a full disk is told by its code, in one sentence", () => {
  assert.ok(isDiskFull(Object.assign(new Error(), { code: "ENOSPC" })));
  for (const other of [new Error("ENOSPC"), undefined, null, "ENOSPC"]) assert.not(isDiskFull(other));
  assert.is(
    diskFull("a.bin", "3 bytes"),
    "a.bin must have room for 3 bytes; got a full disk. Nothing half-written is left; free space",
  );
});
