// A script: which variants a product takes on a graphics card on paper, in a process that has loaded no texts but the
// card's: at first, with a choice (the argument, a spec's text) and without it again. Prints them, how many there were
// to choose among, and the variants whose texts were made.

import { createDevice, matmul, scope, zeros } from "../../engine/index.ts";
import type { Spec } from "../../kernels/index.ts";
import { paperDevice } from "./paper.ts";

const texts = new Map<string, string>();
const card = { description: "a graphics card", features: ["subgroups"], subgroupSize: 32 } as const;
const device = await createDevice({ device: paperDevice(card, texts) });
const { tuner } = device;
let asked: { readonly key: string; readonly candidates: readonly Spec[] } = { key: "", candidates: [] };
tuner.listener = {
  asked: (key, candidates) => {
    asked = { key, candidates };
  },
  ran: () => {},
};

/** Runs a product: its variant, and among how many. */
function product(): readonly unknown[] {
  scope(() => matmul(zeros([256, 256], { device }), zeros([256, 256], { device })));
  const { key, candidates } = asked;
  return [tuner.choose(key, candidates)["variant"], candidates.length];
}

const found = [product()];
await tuner.replace({ [asked.key]: process.argv[2] as string });
found.push(product());
await tuner.replace({});
found.push(product());
const made = [...texts.keys()].flatMap((key) => /^matmul\(.*variant=(\w+)/.exec(key)?.[1] ?? []);
console.log(JSON.stringify({ found, made }));
