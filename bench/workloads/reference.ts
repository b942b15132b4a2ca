// Computes the float64 losses that training rows are checked with and writes them beside this file. Takes minutes.
// Needed again only when a net, its inputs or its optimiser change: `npx tsx bench/workloads/reference.ts`.

import { writeFileSync } from "node:fs";
import { referenceLosses } from "./steps.ts";

const STEPS = 12;
const rows = [
  ["cnn", 64],
  ["vit", 32],
  ["resnet20", 32],
] as const;

const losses = Object.fromEntries(
  rows.map(([net, batch]) => {
    const values = referenceLosses(net, batch, STEPS);
    console.log(`${net}-${batch}: ${values.map((value) => value.toFixed(6)).join(" ")}`);
    return [`${net}-${batch}`, values];
  }),
);
writeFileSync(new URL("./losses.json", import.meta.url), `${JSON.stringify(losses, null, 2)}\n`);
