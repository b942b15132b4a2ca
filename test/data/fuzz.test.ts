// A few mutated files of every format; `test/torture/fuzz.ts` reads as many as one likes.

import { createRandom } from "../../calibration/index.ts";
import { assert, suite } from "../harness.ts";
import { fuzz } from "../torture/fuzz.ts";
import { mutated } from "../torture/mutations.ts";

const test = suite("files under fire", { timeout: 120_000 });

test("mutated files of every format are read or refused by the library's own errors, with the file's name", async () => {
  const { inputs, readers, faults } = await fuzz({ inputs: 720, seed: 7 });
  assert.equal(faults, []);
  assert.is(inputs, 720);
  for (const [name, { refused }] of readers)
    assert.ok(refused > 10, `${name}: only ${refused} of 30 files were refused`);
});

test("mutations leave their input alone and change something", () => {
  const random = createRandom(1);
  const bytes = Buffer.from('{"shape": [1, 2], "name": "x"}');
  const before = bytes.toString();
  let changed = 0;
  for (let i = 0; i < 500; i++) if (!Buffer.from(mutated(bytes, random)).equals(bytes)) changed += 1;
  assert.is(bytes.toString(), before);
  assert.ok(changed > 450, `${changed} of 500`);
});
