// What runs before anything is installed: reading Debian's package sources, what each system is told, the lock file,
// the version of Node.

import { spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { withoutNoise } from "../cli/quiet.ts";
import { backportsLine, parseList, parseSources } from "../scripts/apt.mjs";
import { nodeFault, withSource } from "../scripts/bootstrap.mjs";
import { adapterHelp, parseOsRelease } from "../scripts/systems.mjs";
import { assert, errorOf, suite } from "./harness.ts";

const test = suite("package sources");
const MIRROR = "http://mirror.invalid/debian";

test("reads the one-line format: options, comments, other types", () => {
  const text = [
    "# deb http://no.invalid/debian bookworm main",
    `deb [arch=amd64 signed-by=/usr/share/keyrings/a.gpg] ${MIRROR} bookworm main contrib # why`,
    `deb-src ${MIRROR} bookworm main`,
    `deb   ${MIRROR}-security   bookworm-security   main`,
    "",
  ].join("\n");
  assert.equal(parseList(text), [
    { uri: MIRROR, suites: ["bookworm"], components: ["main", "contrib"], signedBy: "/usr/share/keyrings/a.gpg" },
    { uri: `${MIRROR}-security`, suites: ["bookworm-security"], components: ["main"], signedBy: undefined },
  ]);
});

test("reads the stanza format: lists, continued lines, comments, disabled stanzas, keys written out", () => {
  const text = [
    "Types: deb deb-src",
    "# a comment",
    `URIs: ${MIRROR}`,
    "Suites: bookworm",
    " bookworm-updates",
    "Components: main",
    "Signed-By: /usr/share/keyrings/a.gpg",
    "",
    "Types: deb",
    "URIs: http://off.invalid",
    "Enabled: no",
    "Suites: bookworm",
    "Components: main",
    "",
    "Types: deb",
    "URIs: http://key.invalid",
    "Suites: stable",
    "Components: main",
    "Signed-By:",
    " -----BEGIN PGP PUBLIC KEY BLOCK-----",
    " .",
    "",
  ].join("\n");
  assert.equal(parseSources(text), [
    {
      uri: MIRROR,
      suites: ["bookworm", "bookworm-updates"],
      components: ["main"],
      signedBy: "/usr/share/keyrings/a.gpg",
    },
    { uri: "http://key.invalid", suites: ["stable"], components: ["main"], signedBy: undefined },
  ]);
});

test("makes the backports line from the mirror of bookworm itself, once", async () => {
  const base = { uri: MIRROR, suites: ["bookworm"], components: ["main"], signedBy: undefined };
  const other = { ...base, uri: "http://other.invalid", suites: ["bookworm-security"] };
  assert.is(backportsLine([other, base]), `deb ${MIRROR} bookworm-backports main`);
  assert.is(
    backportsLine([{ ...base, signedBy: "/k.gpg" }]),
    `deb [signed-by=/k.gpg] ${MIRROR} bookworm-backports main`,
  );
  assert.is(backportsLine([base, { ...base, suites: ["bookworm-backports"] }]), undefined);
  assert.match((await errorOf(() => backportsLine([other]))).message, /^no entry for bookworm main in /);
});

test("no text of a sources file reaches apt or a shell unless it is a plain address", async () => {
  const base = { uri: MIRROR, suites: ["bookworm"], components: ["main"], signedBy: undefined };
  for (const uri of ["http://a'; touch /tmp/x; '", "http://$(id)/debian", "a b", "[x]", "http://a\\nb"]) {
    const error = await errorOf(() => backportsLine([{ ...base, uri }]));
    assert.is(error.message, `apt's entry for bookworm must name plain addresses; got ${JSON.stringify(uri)}`);
  }
  const error = await errorOf(() => backportsLine([{ ...base, signedBy: "/k.gpg] [trusted=yes" }]));
  assert.match(error.message, "must name plain addresses");
});

test("an entry of our own goes when the installation fails, and a file that was there stays as it was", async () => {
  const folder = mkdtempSync(join(tmpdir(), "sortie-apt-"));
  const file = join(folder, "a.list");
  const fail = () => {
    assert.match(readFileSync(file, "utf8"), /^deb [12]\n$/);
    throw new Error("no network");
  };
  assert.is((await errorOf(() => withSource("deb 1", fail, file))).message, "no network");
  assert.not(existsSync(file));
  withSource("deb 1", () => {}, file);
  assert.is(readFileSync(file, "utf8"), "deb 1\n");
  await errorOf(() => withSource("deb 2", fail, file));
  assert.is(readFileSync(file, "utf8"), "deb 1\n");
  rmSync(folder, { recursive: true });
});

test("each system is told its own command", () => {
  const help = (text: string) => adapterHelp(parseOsRelease(text));
  assert.match(help('NAME="Ubuntu"\nID=ubuntu\nID_LIKE=debian\n'), "apt-get install -y mesa-vulkan-drivers");
  assert.match(help('ID="rocky"\nID_LIKE="rhel centos fedora"\n'), "dnf install -y mesa-vulkan-drivers");
  assert.match(help("ID=fedora\n"), "dnf install");
  assert.match(help("ID=alpine\n"), "apk add mesa-vulkan-swrast");
  assert.match(help("ID=manjaro\nID_LIKE=arch\n"), "pacman -S --needed vulkan-swrast");
  assert.match(help("ID=unheard\n"), "lavapipe");
  assert.match(help("ID=$(id)\n"), "lavapipe");
  assert.match(adapterHelp({ ids: ["darwin"], codename: "" }), "Metal");
  assert.match(adapterHelp({ ids: ["win32"], codename: "" }), "Direct3D 12");
  assert.equal(parseOsRelease("ID=debian\nVERSION_CODENAME=bookworm\n"), { ids: ["debian"], codename: "bookworm" });
});

const lock = suite("lock file");

lock("names no host, and holds every platform's part of the tools", () => {
  const text = readFileSync(new URL("../package-lock.json", import.meta.url), "utf8");
  const { packages } = JSON.parse(text) as {
    packages: Record<string, { resolved?: string; optionalDependencies?: Record<string, string> }>;
  };
  const hosts = Object.values(packages).flatMap(({ resolved }) => resolved ?? []);
  assert.equal(hosts, []);
  // `npm ci` refuses a lock file that lacks an optional dependency of something in it.
  const missing = Object.values(packages).flatMap(({ optionalDependencies = {} }) =>
    Object.keys(optionalDependencies).filter((name) => !packages[`node_modules/${name}`]),
  );
  assert.equal(missing, []);
});

const versions = suite("version of Node");

versions("one older than package.json demands is refused in words, before anything is installed", () => {
  const { engines } = JSON.parse(readFileSync(new URL("../package.json", import.meta.url), "utf8")) as {
    engines: { node: string };
  };
  for (const old of ["18.20.4", "20.9.0", "20.18.3", "21.7.3", "22.11.0"]) {
    assert.is(
      nodeFault(old, engines.node),
      `Node must be ^20.19.0 || >=22.12.0; got ${old} (${process.execPath}). Install a newer one.`,
    );
  }
  for (const fit of ["20.19.0", "20.20.2", "22.12.0", "22.20.1", "23.0.0", "24.1.0", "26.12.1"])
    assert.is(nodeFault(fit, engines.node), undefined, fit);
});

const noise = suite("what users are shown");

noise("a program that makes a device says nothing of its own under the command", () => {
  const root = new URL("..", import.meta.url).href;
  const flags = ["--import", import.meta.resolve("tsx"), "--input-type=module", "-e"];
  const program = `import { createDevice } from "${root}engine/index.ts"; (await createDevice()).dispose(); console.error("mine");`;
  const command = `import { runQuietly } from "${root}cli/quiet.ts"; runQuietly(${JSON.stringify([...flags, program])});`;
  const { stderr, status } = spawnSync(process.execPath, [...flags, command], { encoding: "utf8" });
  assert.is(status, 0, stderr);
  assert.ok(stderr.includes("mine\n") && !stderr.includes("artificially"), stderr);
});

noise("lines that concern nobody are left out, all else passes at once, however it is cut", () => {
  const line = (name: string) =>
    `Warning: ${name} artificially reduced from 1000000 to 16 to fit dynamic offset allocation limit.\n`;
  const text = `one\n${line("maxDynamicUniformBuffersPerPipelineLayout")}Warning: two\n${line("maxA")}${line("maxB")}three`;
  for (const size of [1, 2, 7, 50, 1000]) {
    let got = "";
    const filter = withoutNoise((part) => {
      got += part;
    });
    for (let at = 0; at < text.length; at += size) filter.take(text.slice(at, at + size));
    assert.is(got, "one\nWarning: two\nthree", `${size}`);
    filter.end();
    assert.is(got, "one\nWarning: two\nthree", `${size}`);
  }
  const parts: string[] = [];
  const filter = withoutNoise((part) => void parts.push(part));
  filter.take("50 %");
  assert.equal(parts, ["50 %"]);
  filter.take("\rWarning: ");
  filter.end();
  assert.is(parts.join(""), "50 %\rWarning: ");
});
