// Debian's package sources as this machine has them: which release, and the backports entry made from its own mirror.

import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";

const FOLDER = "/etc/apt/sources.list.d";

/**
 * One mirror with what it serves.
 * @typedef {{ uri: string, suites: string[], components: string[], signedBy: string | undefined }} Entry
 */

/** The file for an entry of our own. */
export const BACKPORTS_FILE = join(FOLDER, "sortie-backports.list");

/**
 * What a mirror's address and a key ring's path are made of. Anything else is no such thing, and must not reach apt or
 * a shell.
 */
const ADDRESS = /^[a-z][a-z0-9+.-]*:[\w./:@%~+-]+$/i;
const PATH = /^[\w./+-]+$/;

/**
 * The line that adds bookworm-backports from the mirror that serves bookworm; undefined where backports are there
 * already.
 * @param {Entry[]} entries
 */
export function backportsLine(entries) {
  if (entries.some(({ suites }) => suites.includes("bookworm-backports"))) return undefined;
  const base = entries.find(({ suites, components }) => suites.includes("bookworm") && components.includes("main"));
  if (!base) throw new Error(`no entry for bookworm main in /etc/apt/sources.list or ${FOLDER}`);
  for (const [text, form] of /** @type {const} */ ([
    [base.uri, ADDRESS],
    [base.signedBy ?? "none", PATH],
  ])) {
    if (!form.test(text))
      throw new Error(`apt's entry for bookworm must name plain addresses; got ${JSON.stringify(text)}`);
  }
  const signed = base.signedBy ? `[signed-by=${base.signedBy}] ` : "";
  return `deb ${signed}${base.uri} bookworm-backports main`;
}

/**
 * What apt reads on this machine.
 * @returns {Entry[]}
 */
export function readEntries() {
  const names = existsSync(FOLDER) ? readdirSync(FOLDER).map((name) => join(FOLDER, name)) : [];
  const files = ["/etc/apt/sources.list", ...names].filter((file) => existsSync(file));
  return files.flatMap((file) => {
    const text = readFileSync(file, "utf8");
    if (file.endsWith(".list")) return parseList(text);
    return file.endsWith(".sources") ? parseSources(text) : [];
  });
}

/**
 * One-line format: `deb [options] uri suite component ...`.
 * @param {string} text
 * @returns {Entry[]}
 */
export function parseList(text) {
  return text.split("\n").flatMap((line) => {
    const match = /^deb\s+(?:\[([^\]]*)\]\s+)?(\S+)\s+(\S+)\s+(.+)$/.exec(line.replace(/#.*/, "").trim());
    if (!match) return [];
    const [, options = "", uri = "", suite = "", components = ""] = match;
    const signedBy = /(?:^|\s)signed-by=(\S+)/.exec(options)?.[1];
    return [{ uri, suites: [suite], components: components.split(/\s+/), signedBy }];
  });
}

/**
 * deb822 format: stanzas of `Field: value`, comments with `#`, continued by indentation.
 * @param {string} text
 * @returns {Entry[]}
 */
export function parseSources(text) {
  const stanzas = text.replace(/^#.*\n/gm, "").split(/\n\s*\n/);
  return stanzas.flatMap((stanza) => {
    const field = (/** @type {string} */ name) =>
      new RegExp(`^${name}:[ \\t]*(.*(?:\\n[ \\t].*)*)`, "mi").exec(stanza)?.[1]?.trim();
    const words = (/** @type {string} */ name) => (field(name) ?? "").split(/\s+/).filter(Boolean);
    if (!words("Types").includes("deb") || field("Enabled") === "no") return [];
    // A key written out in the stanza has no place in a one-line entry; apt then uses its own key ring.
    const signedBy = field("Signed-By")?.startsWith("/") ? field("Signed-By") : undefined;
    return words("URIs").map((uri) => ({ uri, suites: words("Suites"), components: words("Components"), signedBy }));
  });
}
