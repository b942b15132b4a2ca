// What a release needs: npm runs this before it publishes, and refuses where something is missing. `npm run release`
// asks without publishing.

import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";

/**
 * The fields of package.json that say where the project lives; nothing else in the repository names an address of it.
 */
const ADDRESSES = ["repository", "homepage", "bugs"] as const;

/** What is missing for a release of the version that package.json names; empty if nothing is. */
export function releaseFaults(packageJson: string, changelog: string): string[] {
  const fields = JSON.parse(packageJson) as Record<string, unknown>;
  const version = String(fields["version"]);
  const faults = ADDRESSES.filter((name) => !fields[name]).map(
    (name) => `package.json has no ${name}. Run: npm pkg set ${name}=ADDRESS`,
  );
  const sections = new Map(
    changelog
      .split(/^## /m)
      .slice(1)
      .map((text) => [text.split("\n", 1)[0] ?? "", text.slice(text.indexOf("\n"))]),
  );
  if (/^- /m.test(sections.get("Unreleased") ?? ""))
    faults.push(`CHANGELOG.md: what stands under Unreleased belongs into a section "## ${version} - YEAR-MONTH-DAY"`);
  const found = [...sections].find(([title]) => title.split(" - ")[0] === version);
  if (!found) faults.push(`CHANGELOG.md has no section of ${version}`);
  else {
    const [title, text] = found;
    if (!/ - \d{4}-\d\d-\d\d$/.test(title)) faults.push(`CHANGELOG.md: the section of ${version} has no date`);
    if (!/^### Upgrading\n+\S/m.test(text)) faults.push(`CHANGELOG.md: ${version} says nothing under "### Upgrading"`);
  }
  return faults;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const read = (file: string): string => readFileSync(new URL(`../${file}`, import.meta.url), "utf8");
  const faults = releaseFaults(read("package.json"), read("CHANGELOG.md"));
  for (const fault of faults) console.error(`release: ${fault}`);
  if (faults.length > 0) process.exitCode = 1;
}
