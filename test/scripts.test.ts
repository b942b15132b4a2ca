// What runs before anything is installed: reading Debian's package sources in both formats, and the lock file.

import { readFileSync } from "node:fs";
import { backportsLine, parseList, parseSources } from "../scripts/apt.mjs";
import { nodeFault } from "../scripts/bootstrap.mjs";
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
  for (const old of ["18.20.4", "20.9.0", "20.15.1"]) {
    assert.is(
      nodeFault(old, ">=20.16"),
      `Node must be >=20.16; got ${old} (${process.execPath}). Install a newer one.`,
    );
  }
  for (const fit of ["20.16.0", "20.19.5", "22.0.0", "24.1.0"]) assert.is(nodeFault(fit, ">=20.16"), undefined);
  assert.is(nodeFault("20.15.0", ">=20.15.0"), undefined);
});
