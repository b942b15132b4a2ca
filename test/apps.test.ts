// The apps of examples/ that `npm test` has time for, from the packed package: a plain page, and an app by Vite. Each
// trains twenty steps in a worker, calibrates, exports, opens the export again, and gets the same answers.
// `npm run apps` does the others too.

import { spawnSync } from "node:child_process";
import { Apps } from "./apps/apps.ts";
import { isOptional, skip } from "./browser/serving.ts";
import { suite } from "./harness.ts";
import { packed } from "./packed.ts";

/** Why nothing can be installed, if that is so. */
function withoutRegistry(): string | undefined {
  const { status } = spawnSync("npm", ["view", "vite", "name", "--fetch-retries=0", "--fetch-timeout=10000"]);
  return status === 0 ? undefined : "npm's registry is not reached, from which apps install their tools";
}

const test = suite("apps from the packed package", { skip: skip ?? withoutRegistry(), isOptional, timeout: 300_000 });
let apps: Apps;

test.before(async () => {
  apps = await Apps.open(packed());
});
test.after(() => apps?.close());

test("html: a plain page trains by the one-file build", () => apps.walk("html"));

test("vite: strict types, a worker, and a model that is opened again", () => apps.walk("vite"));
