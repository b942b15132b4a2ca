// Where caches lie: one folder for tuned choices and data sets, by the user's wish, the system's custom, or the home
// folder.

import { homedir } from "node:os";
import { join } from "node:path";
import { cacheFolder } from "../../base/index.ts";
import { assert, suite } from "../harness.ts";

const test = suite("cache folder");
const NAMES = ["SORTIE_CACHE", "XDG_CACHE_HOME", "LOCALAPPDATA"] as const;

function under(env: Partial<Record<(typeof NAMES)[number], string>>): string {
  const before = NAMES.map((name) => [name, process.env[name]] as const);
  const put = (name: string, value: string | undefined) => {
    if (value === undefined) delete process.env[name];
    else process.env[name] = value;
  };
  try {
    for (const name of NAMES) put(name, env[name]);
    return cacheFolder();
  } finally {
    for (const [name, value] of before) put(name, value);
  }
}

test("the user's wish goes first, then the system's custom; what is empty is not said", () => {
  assert.is(under({ SORTIE_CACHE: "mine", XDG_CACHE_HOME: "xdg" }), "mine");
  assert.is(under({ SORTIE_CACHE: "", XDG_CACHE_HOME: "xdg", LOCALAPPDATA: "local" }), join("xdg", "sortie"));
  assert.is(under({ XDG_CACHE_HOME: "", LOCALAPPDATA: "local" }), join("local", "sortie"));
  assert.is(under({}), join(homedir(), ".cache", "sortie"));
});
