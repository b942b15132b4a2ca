// A notebook without a notebook: cells that print, and a chart as an SVG file. How sure an exit must be, and what that
// costs. `npm i sortie`, then `node notebook.mjs [FOLDER]`; the chart is written into the folder.

import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { createPopulation, createRandom, learnThenTest } from "sortie/calibration";

/** @param {string} title */
const cell = (title) => console.log(`\n## ${title}`);

cell("A population whose truth is known");
const population = createPopulation({ size: 20_000 });
const random = createRandom(1);
const table = population.draw(3000, random);
console.log(`${table.samples} samples, ${table.exits} exits`);

cell("The more risk is allowed, the more leave early");
const points = [0.02, 0.05, 0.1, 0.2].map((alpha) => {
  const policy = learnThenTest(table, { alpha, delta: 0.1 });
  const early = policy.ok ? population.truth(policy.thresholds).coverage : 0;
  console.log(`alpha ${alpha}: ${policy.ok ? `${(100 * early).toFixed(0)} % leave early` : "nothing is safe"}`);
  return { alpha, early };
});

cell("The same as a chart");
const [width, height, margin] = [480, 300, 50];
const floor = height - margin;
const places = points.map(({ alpha, early }) => [
  margin + ((width - 2 * margin) * alpha) / 0.2,
  floor - (height - 2 * margin) * early,
]);
const dots = places.map(([x, y]) => `<circle cx="${x}" cy="${y}" r="4"/>`);
const svg = `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" font-family="sans-serif" font-size="13">
<rect width="100%" height="100%" fill="white"/>
<path d="M${margin} ${margin}V${floor}H${width - margin}" fill="none" stroke="black"/>
<polyline points="${places.join(" ")}" fill="none" stroke="steelblue" stroke-width="2"/>
${dots.join("\n")}
<text x="${margin}" y="${margin - 15}">share that leaves early, up to 100 %</text>
<text x="${width - margin}" y="${height - 20}" text-anchor="end">allowed risk, up to 20 %</text>
</svg>
`;
const path = join(process.argv[2] ?? ".", "risk.svg");
await writeFile(path, svg);
console.log("wrote risk.svg");
