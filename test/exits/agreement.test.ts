// What is deployed answers as the network does: every backbone, head, score, kind of policy, scaling, batch and form of
// images that `deploy` takes, drawn weights and trained ones, over several tiles of columns, in poisoned memory. In a
// browser: browser.test.ts.

import { gpuSuite } from "../gpu.ts";
import { assert } from "../harness.ts";
import { agree } from "./agreement.ts";
import { SUBJECTS } from "./subjects.ts";

const test = gpuSuite("exits: what is deployed agrees with the network", { timeout: 240_000 });
for (const name of Object.keys(SUBJECTS)) {
  test(name, async () => {
    assert.equal([...(await agree(name))].sort(), [0, 1, 2], "exits taken");
  });
}
