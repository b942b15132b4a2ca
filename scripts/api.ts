// `npm run api`: writes what follows from the sources: the indices that list files, what each public entry exports,
// name by name with its declaration, to api/, and the texts of kernels, so that a change shows in the diff. Tests
// compare.

import { execFileSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { type Exported, Modules, publicEntries } from "./exports.ts";
import { writtenIndices } from "./indices.ts";
import { TSC } from "./tools.mjs";

const root = fileURLToPath(new URL("..", import.meta.url));

/**
 * The report of every public entry: file name in api/ -> text. It is made from the declarations that users get, without
 * comments.
 */
export function apiReports(): Map<string, string> {
  const folder = mkdtempSync(join(tmpdir(), "sortie-api-"));
  try {
    const flags = ["--outDir", folder, "--removeComments"];
    execFileSync(process.execPath, [TSC, "-p", "tsconfig.build.json", ...flags], {
      cwd: root,
      stdio: ["ignore", "inherit", "inherit"],
    });
    const modules = new Modules((file) => readFileSync(join(folder, file), "utf8"));
    const entries = publicEntries(readFileSync(join(root, "package.json"), "utf8"));
    const exported = [...entries].map(([entry, source]): Entry => {
      const file = source.replace(/\.ts$/, ".d.ts");
      return { entry, names: modules.exportsOf(file), added: modules.addedBy(file).map((one) => one.getText()) };
    });
    return new Map(
      exported.map((one) => [
        `${one.entry.replaceAll("/", "-") || "sortie"}.md`,
        one.entry === "" ? rootReport(one, exported) : report(one, exported),
      ]),
    );
  } finally {
    rmSync(folder, { recursive: true });
  }
}

interface Entry {
  readonly entry: string;
  readonly names: readonly Exported[];
  /** What it adds to what it exports: methods. */
  readonly added: readonly string[];
}

/** Of an entry that is a part of another only what that one does not export is told. */
function report({ entry, names, added }: Entry, all: readonly Entry[]): string {
  const whole = all.find((other) => entry.startsWith(`${other.entry}/`));
  const own = names.filter((one) => !whole?.names.some(({ name, file }) => one.name === name && one.file === file));
  const told = new Set(names.map(({ name }) => name));
  const lacks = (whole?.names ?? []).flatMap(({ name }) => (told.has(name) ? [] : [name]));
  const code = [...own.flatMap(lines), ...added];
  return [
    `# sortie/${entry}`,
    "",
    `Exports of \`sortie/${entry}\`: ${names.length} names. Written by \`npm run api\`.`,
    "",
    ...(whole
      ? [`They are those of \`sortie/${whole.entry}\`${lacks.length > 0 ? ` without ${lacks.join(", ")}` : ""}.`, ""]
      : []),
    ...(code.length > 0 ? ["```ts", ...code, "```", ""] : []),
  ].join("\n");
}

/** The root declares nothing of its own: which names it passes on, and from which entry. */
function rootReport({ names }: Entry, all: readonly Entry[]): string {
  const by = new Map(all.filter(({ entry }) => entry !== "").map((one) => [one.entry, new Set<string>()]));
  for (const { name, file } of names) {
    const from = all.find((one) => one.entry !== "" && one.names.some((own) => own.name === name && own.file === file));
    if (!from) throw new Error(`sortie: exports ${name} of ${file}, which no other entry does`);
    by.get(from.entry)?.add(name);
  }
  const told = [...by]
    .filter(([, passed]) => passed.size > 0)
    .map(([entry, { size }]) => `${size} of \`sortie/${entry}\``);
  return [
    "# sortie",
    "",
    `Exports of \`sortie\`: ${names.length} names. Written by \`npm run api\`.`,
    "",
    `Each is that of another entry: ${told.join(", ")}.`,
    "",
  ].join("\n");
}

function lines({ name, declarations, members }: Exported): string[] {
  if (members) return [`export namespace ${name} {`, members.flatMap(lines).join("\n").replace(/^/gm, "  "), "}"];
  const text = declarations.map((declaration) => declaration.getText());
  const isOtherwise = !new RegExp(`\\b${name}\\b`).test(text.join(" "));
  return isOtherwise ? [`// as ${name}`, ...text] : text;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  for (const [file, text] of writtenIndices()) writeFileSync(join(root, file), text);
  const reports = apiReports();
  rmSync(join(root, "api"), { recursive: true, force: true });
  mkdirSync(join(root, "api"));
  for (const [file, text] of reports) writeFileSync(join(root, "api", file), text);
  execFileSync(process.execPath, ["--import", "tsx", "test/run.ts", "kernels/texts", "--update"], { cwd: root });
}
