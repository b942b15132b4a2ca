// Downloads from servers that send too much, fall silent, change the file or redirect; through proxies; all on this
// machine.

import { spawn } from "node:child_process";
import { readdir, readFile, symlink, writeFile } from "node:fs/promises";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import { createServer as createSecureServer } from "node:https";
import { type AddressInfo, connect, type Socket } from "node:net";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { addressesOf } from "../../data/download.ts";
import type { FileOptions, OfficialFile } from "../../data/files.ts";
import { get, proxyFor } from "../../data/http.ts";
import { obtain } from "../../data/obtain.ts";
import { assert, errorOf, failsWith, suite } from "../harness.ts";
import { inTemporaryFolder, pattern } from "./official.ts";

const test = suite("data download: hostile servers and proxies");

const CONTENT = Buffer.from(pattern(200_000));
let server: Server;
let port = 0;
let seen: IncomingMessage[] = [];
let answer: (request: IncomingMessage, response: ServerResponse) => void = () => {};

test.before(async () => {
  server = createServer((request, response) => {
    seen.push(request);
    answer(request, response);
  });
  port = await listening(server);
});
test.beforeEach(() => {
  seen = [];
});
test.after(() => {
  server.closeAllConnections();
  server.close();
});

async function listening(one: Server): Promise<number> {
  await new Promise<void>((resolve) => one.listen(0, "127.0.0.1", resolve));
  return (one.address() as AddressInfo).port;
}

/** No checksum: only a version tells whether two parts belong together. */
const file = (details: Partial<OfficialFile> = {}): OfficialFile => ({
  name: "x.bin",
  bytes: CONTENT.length,
  urls: [`http://127.0.0.1:${port}/x`],
  ...details,
});
const options: FileOptions = { download: true, patience: { connect: 400, idle: 400 } };

/** Sets variables of the environment while `body` runs. */
async function withEnvironment(values: Record<string, string>, body: () => Promise<void>): Promise<void> {
  const names = ["http_proxy", "https_proxy", "no_proxy", "all_proxy"].flatMap((name) => [name, name.toUpperCase()]);
  const before = names.map((name) => [name, process.env[name]] as const);
  for (const name of names) delete process.env[name];
  Object.assign(process.env, values);
  try {
    await body();
  } finally {
    for (const [name, value] of before) {
      if (value === undefined) delete process.env[name];
      else process.env[name] = value;
    }
  }
}

test("a server that sends more than the known size is stopped there, said or unsaid", () =>
  inTemporaryFolder(async (folder) => {
    let sent = 0;
    answer = (_, response) => {
      response.writeHead(200);
      const more = () => {
        while (!response.destroyed && sent < 1e9) {
          sent += 65_536;
          if (!response.write(Buffer.alloc(65_536))) return void response.once("drain", more);
        }
      };
      more();
    };
    const path = join(folder, "x.bin");
    const got = `toy: ${path} must be downloaded; got http://127.0.0.1:${port}/x: the file must have 200000 bytes; got `;
    await failsWith(() => obtain("toy", file(), folder, options), "DataError", `${got}more.`);
    assert.ok(sent < 5e7, `${sent} bytes were sent`);
    answer = (_, response) => void response.writeHead(200, { "content-length": 1e12 }).write("x");
    await failsWith(() => obtain("toy", file(), folder, options), "DataError", `${got}1000000000000.`);
  }));

test("a server that does not answer, and one that falls silent, are given up", () =>
  inTemporaryFolder(async (folder) => {
    answer = () => {};
    const begun = performance.now();
    const silent = await errorOf(() => get(`http://127.0.0.1:${port}/`, { headers: {}, connect: 100 }));
    assert.is(silent.message, "no answer within 0.1 s");
    answer = (_, response) => {
      response.writeHead(200, { "content-length": CONTENT.length });
      response.write(CONTENT.subarray(0, 1000));
    };
    const { message } = await errorOf(() => obtain("toy", file(), folder, { ...options, patience: { idle: 50 } }));
    assert.ok(message.endsWith(": no bytes for 0.05 s."), message);
    assert.is(seen.length, 1 + 4);
    answer = (_, response) => {
      response.writeHead(200, { "content-length": CONTENT.length });
      response.write(CONTENT.subarray(0, 1000));
      setTimeout(() => response.end(CONTENT.subarray(1000)), 30);
    };
    const forever = { connect: Number.POSITIVE_INFINITY, idle: Number.POSITIVE_INFINITY };
    await obtain("toy", file(), folder, { ...options, patience: forever });
    assert.ok(performance.now() - begun < 10_000);
  }));

test("a part is carried on only if the server still has the version that it is of", () =>
  inTemporaryFolder(async (folder) => {
    let [etag, content, most] = ['"one"', CONTENT, 70_000];
    answer = (request, response) => {
      const start = Number(/^bytes=(\d+)-$/.exec(request.headers.range ?? "")?.[1] ?? 0);
      const isSame = start > 0 && request.headers["if-range"] === etag;
      const rest = content.subarray(isSame ? start : 0);
      const range = { "content-range": `bytes ${start}-${content.length - 1}/${content.length}` };
      response.writeHead(isSame ? 206 : 200, { etag, "content-length": rest.length, ...(isSame && range) });
      if (rest.length <= most) return void response.end(rest);
      response.write(rest.subarray(0, most), () => setTimeout(() => response.destroy(), 150));
    };
    const path = await obtain("toy", file(), folder, options);
    assert.ok((await readFile(path)).equals(CONTENT));
    assert.equal(
      seen.map(({ headers }) => [headers.range, headers["if-range"]]),
      [
        [undefined, undefined],
        ["bytes=70000-", '"one"'],
        ["bytes=140000-", '"one"'],
      ],
    );
    // The next call finds a part of the first version, and the server has another one of the same size.
    const later = { ...file(), name: "y.bin" };
    await writeFile(join(folder, "y.bin.part"), CONTENT.subarray(0, 70_000));
    await writeFile(join(folder, "y.bin.part.json"), JSON.stringify({ url: later.urls[0], version: '"one"' }));
    [etag, content, most] = ['"two"', Buffer.from(pattern(200_000, 7)), 1e9];
    seen = [];
    assert.ok((await readFile(await obtain("toy", later, folder, options))).equals(content));
    assert.is(seen[0]!.headers["if-range"], '"one"');
    // A part of which nothing is known is no beginning of anything.
    await writeFile(join(folder, "z.bin.part"), CONTENT.subarray(0, 70_000));
    seen = [];
    assert.ok((await readFile(await obtain("toy", { ...file(), name: "z.bin" }, folder, options))).equals(content));
    assert.is(seen[0]!.headers.range, undefined);
    assert.equal((await readdir(folder)).sort(), ["x.bin", "y.bin", "z.bin"]);
  }));

test("a link where the part would lie is not followed", () =>
  inTemporaryFolder(async (folder) => {
    answer = (_, response) => void response.end(CONTENT);
    const precious = join(folder, "precious");
    await writeFile(precious, "keep");
    for (const name of ["x.bin.part", "x.bin.part.json"]) await symlink(precious, join(folder, name));
    await obtain("toy", file(), folder, options);
    assert.is(await readFile(precious, "utf8"), "keep");
    assert.equal((await readdir(folder)).sort(), ["precious", "x.bin"]);
  }));

test("redirects are followed, not for ever, and to nothing but http and https", async () => {
  const ask = (path: string) => get(`http://127.0.0.1:${port}${path}`, { headers: {} });
  answer = (request, response) => {
    const to = { "/a": "/b", "/b": `http://127.0.0.1:${port}/c`, "/loop": "/loop", "/file": "file:///etc/passwd" }[
      request.url!
    ];
    if (to === undefined) response.end("here");
    else response.writeHead(302, { location: to }).end();
  };
  const chunks: Uint8Array[] = [];
  for await (const chunk of (await ask("/a")).body) chunks.push(chunk);
  assert.is(Buffer.concat(chunks).toString(), "here");
  assert.is((await errorOf(() => ask("/loop"))).message, "more than 10 redirects");
  assert.is((await errorOf(() => ask("/file"))).message, "an address that is not of http or https: file:///etc/passwd");
});

test("https is tried before http, whatever the order", () => {
  const urls = ["http://a/x", "https://b/x", "http://c/x", "https://d/x"];
  assert.equal(addressesOf({ name: "x", urls }), ["https://b/x", "https://d/x", "http://a/x", "http://c/x"]);
});

test("the proxy is the one that the environment names, unless the host is exempt", async () => {
  const of = (address: string, env: Record<string, string>) => proxyFor(new URL(address), env)?.href;
  const env = {
    HTTP_PROXY: "http://p:1",
    https_proxy: "q:2",
    NO_PROXY: "localhost, .inner.org *.other.org,10.0.0.1:8080",
  };
  assert.is(of("http://a.org/", env), "http://p:1/");
  assert.is(of("https://a.org/", env), "http://q:2/");
  assert.is(of("https://a.org/", { all_proxy: "http://r:3", HTTPS_PROXY: "" }), "http://r:3/");
  for (const host of ["localhost", "inner.org", "x.inner.org", "x.other.org", "10.0.0.1:8080"])
    assert.is(of(`http://${host}/`, env), undefined, host);
  for (const host of ["xinner.org", "inner.org.evil", "10.0.0.1"])
    assert.is(of(`http://${host}/`, env), "http://p:1/", host);
  assert.is(of("http://a.org/", { ...env, no_proxy: "*" }), undefined);
  assert.is(of("http://a.org/", {}), undefined);
  assert.is(
    (await errorOf(() => void of("http://a.org/", { http_proxy: "socks5://p:1" }))).message,
    "an address that is not of http or https: socks5://p:1",
  );
});

test("plain addresses are asked of the proxy whole, with its name and password", () =>
  inTemporaryFolder(async (folder) => {
    answer = (_, response) => void response.end(CONTENT);
    await withEnvironment({ HTTP_PROXY: `http://me:pass%20word@127.0.0.1:${port}` }, async () => {
      await obtain("toy", file({ urls: ["http://files.invalid/x"] }), folder, options);
    });
    const { url, headers } = seen[0]!;
    assert.is(url, "http://files.invalid/x");
    assert.is(headers.host, "files.invalid");
    assert.is(headers["proxy-authorization"], `Basic ${Buffer.from("me:pass word").toString("base64")}`);
  }));

test("encrypted ones go through a tunnel of the proxy; one that opens none is named", () =>
  inTemporaryFolder(async (folder) => {
    const pem = await readFile(fileURLToPath(new URL("./localhost.pem", import.meta.url)));
    const secure = createSecureServer(
      { key: pem, cert: pem },
      (request, response) => void response.end(request.url === "/x" ? CONTENT : ""),
    );
    const there = await listening(secure as unknown as Server);
    const asked: string[] = [];
    let isOpen = true;
    const proxy = createServer();
    proxy.on("connect", ({ url }: IncomingMessage, socket: Socket) => {
      asked.push(url!);
      if (!isOpen) return void socket.end("HTTP/1.1 407 Proxy Authentication Required\r\n\r\n");
      const through = connect(there, "127.0.0.1", () => {
        socket.write("HTTP/1.1 200 Connection Established\r\n\r\n");
        through.pipe(socket).pipe(through);
      });
      for (const end of [socket, through]) end.on("error", () => {});
    });
    const proxyPort = await listening(proxy);
    try {
      // The certificate is trusted by a process of its own, which sees it when it starts.
      const child = spawn(
        process.execPath,
        ["--import", "tsx", fileURLToPath(new URL("./download-child.ts", import.meta.url)), folder],
        {
          env: {
            ...process.env,
            NODE_EXTRA_CA_CERTS: fileURLToPath(new URL("./localhost.pem", import.meta.url)),
            HTTPS_PROXY: `http://127.0.0.1:${proxyPort}`,
            NO_PROXY: "",
            no_proxy: "",
          },
        },
      );
      const lines: Buffer[] = [];
      for (const stream of [child.stdout, child.stderr]) stream.on("data", (chunk: Buffer) => lines.push(chunk));
      const code = await new Promise((resolve) => child.on("close", resolve));
      assert.is(code, 0, Buffer.concat(lines).toString());
      assert.equal(asked, ["localhost:443"]);
      assert.ok((await readFile(join(folder, "x.bin"))).equals(CONTENT));
      isOpen = false;
      await withEnvironment({ https_proxy: `127.0.0.1:${proxyPort}` }, async () => {
        const { message } = await errorOf(() => get("https://files.invalid/x", { headers: {} }));
        assert.is(message, "the proxy opened no tunnel: HTTP 407 Proxy Authentication Required");
      });
      assert.is(asked[1], "files.invalid:443");
    } finally {
      secure.closeAllConnections();
      secure.close();
      proxy.closeAllConnections();
      proxy.close();
    }
  }));
