// Downloads, from a server on this machine that can be told to misbehave.

import { createHash } from "node:crypto";
import { readdir, readFile, writeFile } from "node:fs/promises";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import type { DownloadProgress, OfficialFile } from "../../data/files.ts";
import { obtain } from "../../data/obtain.ts";
import { assert, errorOf, failsWith, suite } from "../harness.ts";
import { inTemporaryFolder, pattern } from "./official.ts";

const test = suite("data download");

const CONTENT = Buffer.from(pattern(300_000));
const SHA256 = createHash("sha256").update(CONTENT).digest("hex");

/** What one request is answered with. */
type Answer = (request: IncomingMessage, response: ServerResponse) => void;

let server: Server;
let address = "";
let ranges: (string | undefined)[] = [];
const answers = new Map<string, Answer>();

test.before(async () => {
  server = createServer((request, response) => {
    ranges.push(request.headers.range);
    const answer = answers.get(request.url!) ?? ((_, other) => void other.writeHead(404).end());
    answer(request, response);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  address = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
});
test.beforeEach(() => {
  ranges = [];
  answers.clear();
});
test.after(() => {
  server.closeAllConnections();
  server.close();
});

/** Sends the range asked for, of which it stops after `most` bytes by breaking the connection. */
const serve =
  (content: Buffer, most = Number.POSITIVE_INFINITY): Answer =>
  (request, response) => {
    const start = Number(/^bytes=(\d+)-$/.exec(request.headers.range ?? "")?.[1] ?? 0);
    if (start >= content.length) {
      response.writeHead(416).end();
      return;
    }
    const rest = content.subarray(start);
    response.writeHead(start > 0 ? 206 : 200, {
      "content-length": rest.length,
      ...(start > 0 && { "content-range": `bytes ${start}-${content.length - 1}/${content.length}` }),
    });
    if (rest.length <= most) response.end(rest);
    else response.write(rest.subarray(0, most), () => setTimeout(() => response.destroy(), 150));
  };

const fileAt = (...paths: string[]): OfficialFile => ({
  name: "x.bin",
  bytes: CONTENT.length,
  checksum: { algorithm: "sha256", hex: SHA256 },
  urls: paths.map((path) => address + path),
});

test("a file is fetched, checked, reported on, and not fetched again", () =>
  inTemporaryFolder(async (folder) => {
    answers.set("/a", serve(CONTENT));
    const progress: DownloadProgress[] = [];
    const options = { download: true, onProgress: (step: DownloadProgress) => void progress.push(step) };
    const path = await obtain("toy", fileAt("/a"), join(folder, "deep", "er"), options);
    assert.ok((await readFile(path)).equals(CONTENT));
    assert.equal(await readdir(join(folder, "deep", "er")), ["x.bin"]);
    assert.equal(progress.at(-1), { file: "x.bin", loaded: CONTENT.length, total: CONTENT.length });
    for (let i = 1; i < progress.length; i++) assert.ok(progress[i]!.loaded > progress[i - 1]!.loaded);
    await obtain("toy", fileAt("/a"), join(folder, "deep", "er"), options);
    assert.is(ranges.length, 1);
  }));

test("a broken line is carried on from where it broke", () =>
  inTemporaryFolder(async (folder) => {
    answers.set("/a", serve(CONTENT, 120_000));
    const path = await obtain("toy", fileAt("/a"), folder, { download: true });
    assert.ok((await readFile(path)).equals(CONTENT));
    assert.equal(ranges, [undefined, "bytes=120000-", "bytes=240000-"]);
  }));

test("a part left by an earlier run is carried on", () =>
  inTemporaryFolder(async (folder) => {
    await writeFile(join(folder, "x.bin.part"), CONTENT.subarray(0, 100_001));
    answers.set("/a", serve(CONTENT));
    const path = await obtain("toy", fileAt("/a"), folder, { download: true });
    assert.ok((await readFile(path)).equals(CONTENT));
    assert.equal(ranges, ["bytes=100001-"]);
  }));

test("a part with wrong bytes does not use up the only address", () =>
  inTemporaryFolder(async (folder) => {
    await writeFile(join(folder, "x.bin.part"), pattern(100_000, 3));
    answers.set("/a", serve(CONTENT));
    const path = await obtain("toy", fileAt("/a"), folder, { download: true });
    assert.ok((await readFile(path)).equals(CONTENT));
    assert.equal(ranges, ["bytes=100000-", undefined]);
    // Where the address gives wrong bytes itself, it is asked no third time.
    await writeFile(join(folder, "y.bin.part"), pattern(100_000, 3));
    answers.set("/a", serve(Buffer.from(pattern(300_000, 1))));
    await errorOf(() => obtain("toy", { ...fileAt("/a"), name: "y.bin" }, folder, { download: true }));
    assert.is(ranges.length, 4);
  }));

test("a server without ranges starts over; a part that is too long is thrown away", () =>
  inTemporaryFolder(async (folder) => {
    await writeFile(join(folder, "x.bin.part"), pattern(50_000, 3));
    answers.set("/a", (_, response) => void response.writeHead(200, { "content-length": CONTENT.length }).end(CONTENT));
    assert.ok((await readFile(await obtain("toy", fileAt("/a"), folder, { download: true }))).equals(CONTENT));
    await writeFile(join(folder, "x.bin.part"), pattern(400_000));
    answers.set("/b", serve(CONTENT));
    const other = { ...fileAt("/b"), name: "y.bin" };
    await writeFile(join(folder, "y.bin.part"), pattern(400_000));
    assert.ok((await readFile(await obtain("toy", other, folder, { download: true }))).equals(CONTENT));
  }));

test("wrong content is thrown away and the next address tried", () =>
  inTemporaryFolder(async (folder) => {
    answers.set("/bad", serve(Buffer.from(pattern(300_000, 1))));
    answers.set("/good", serve(CONTENT));
    const path = await obtain("toy", fileAt("/missing", "/bad", "/good"), folder, { download: true });
    assert.ok((await readFile(path)).equals(CONTENT));
    assert.equal(ranges, [undefined, undefined, undefined]);
  }));

test("where no address helps, the error names each; nothing is left that looks whole", () =>
  inTemporaryFolder(async (folder) => {
    const bad = Buffer.from(pattern(300_000, 1));
    answers.set("/bad", serve(bad));
    const found = createHash("sha256").update(bad).digest("hex");
    await failsWith(
      () => obtain("toy", fileAt("/missing", "/bad"), folder, { download: true }),
      "DataError",
      `toy: ${join(folder, "x.bin")} must be downloaded; got ${address}/missing: HTTP 404 Not Found | ` +
        `${address}/bad: the file must have sha256 ${SHA256}; got ${found}.`,
    );
    assert.equal(await readdir(folder), []);
  }));

test("an abort stops it, and keeps the part", () =>
  inTemporaryFolder(async (folder) => {
    answers.set("/slow", (_, response) => {
      response.writeHead(200, { "content-length": CONTENT.length });
      response.write(CONTENT.subarray(0, 70_000));
    });
    const controller = new AbortController();
    const onProgress = ({ loaded }: DownloadProgress): void => {
      if (loaded >= 70_000) controller.abort();
    };
    const options = { download: true, signal: controller.signal, onProgress };
    const error = await errorOf(() => obtain("toy", fileAt("/slow"), folder, options)).catch((other: unknown) => other);
    assert.is((error as Error).name, "AbortError");
    assert.ok((await readFile(join(folder, "x.bin.part"))).equals(CONTENT.subarray(0, 70_000)));
  }));

test("a full disk is said to be one", () =>
  inTemporaryFolder(async (folder) => {
    answers.set("/a", serve(CONTENT));
    const fs = process.getBuiltinModule("node:fs/promises");
    const { open } = fs;
    // Room for the first chunk only.
    fs.open = async (...args: Parameters<typeof open>) => {
      const handle = await open(...args);
      const { writeFile: write } = handle;
      let isFull = false;
      handle.writeFile = (data) => {
        if (isFull) return Promise.reject(Object.assign(new Error("no space left on device"), { code: "ENOSPC" }));
        isFull = true;
        return write.call(handle, data);
      };
      return handle;
    };
    await failsWith(
      () => obtain("toy", fileAt("/a", "/a"), folder, { download: true }),
      "DataError",
      `toy: ${join(folder, "x.bin.part")} must have room for 300000 bytes; got a full disk. ` +
        "What was loaded stays; free space and load again.",
    ).finally(() => {
      fs.open = open;
    });
    assert.equal((await readdir(folder)).sort(), ["x.bin.part", "x.bin.part.json"]);
    await obtain("toy", fileAt("/a"), folder, { download: true });
    assert.equal(await readdir(folder), ["x.bin"]);
  }));

test("a missing file, one of another size and a damaged one are told apart", () =>
  inTemporaryFolder(async (folder) => {
    const path = join(folder, "x.bin");
    await failsWith(
      () => obtain("toy", fileAt("/a"), folder, {}),
      "DataError",
      `toy: ${path} must exist; got no file. Name its folder by dir (--data-dir), or pass download: true (--download) to fetch 300000 bytes from ${address}/a.`,
    );
    await writeFile(path, CONTENT.subarray(1));
    await failsWith(
      () => obtain("toy", fileAt("/a"), folder, { download: true }),
      "DataError",
      `toy: ${path} must have 300000 bytes; got 299999. Delete it, and load again with download: true (--download).`,
    );
    const damaged = Buffer.from(CONTENT);
    damaged[5]! ^= 1;
    await writeFile(path, damaged);
    const found = createHash("sha256").update(damaged).digest("hex");
    await failsWith(
      () => obtain("toy", fileAt("/a"), folder, {}),
      "DataError",
      `toy: ${path} must have sha256 ${SHA256}; got ${found}. Delete it, and load again with download: true (--download).`,
    );
    await writeFile(path, "");
    await failsWith(
      () => obtain("toy", fileAt("/a"), folder, {}),
      "DataError",
      `toy: ${path} must have 300000 bytes; got 0. Delete it, and load again with download: true (--download).`,
    );
    await writeFile(path, damaged);
    assert.is(await obtain("toy", fileAt("/a"), folder, { verify: false }), path);
    assert.is(ranges.length, 0);
  }));

test("md5 and git blob names are checked too", () =>
  inTemporaryFolder(async (folder) => {
    await writeFile(join(folder, "x.bin"), "hello\n");
    const check = (algorithm: "md5" | "git-blob", hex: string) =>
      obtain("toy", { name: "x.bin", checksum: { algorithm, hex }, urls: [] }, folder, {});
    await check("md5", "b1946ac92492d2347c6235b4d2611184");
    await check("git-blob", "ce013625030ba8dba906f756967f9e9ca394464a");
    assert.match((await errorOf(() => check("git-blob", "00"))).message, /must have git-blob 00; got ce0136/);
  }));
