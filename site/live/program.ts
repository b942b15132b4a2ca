// A live block's text as a program that can be run where it stands: imports of the library become what is handed in.

/** What a live block may import; `names` of a module are all that it exports. */
export type Modules = Readonly<Record<string, () => Promise<Readonly<Record<string, unknown>>>>>;

const IMPORT = /^import\s*\{([^}]*)\}\s*from\s*["']([^"']+)["'];?[ \t]*$/gm;

/** A function made of a text, whose parameters are `console` and what `imported` gives by specifier. */
type Program = (console: Pick<Console, "log">, imported: Readonly<Record<string, unknown>>) => Promise<unknown>;

/**
 * Runs the text of a block: JavaScript, with `await`, whose imports are `import { a, b as c } from "sortie/..."` lines.
 *
 * @param log takes the arguments of each `console.log`
 * @throws SyntaxError where the text is no program, or imports otherwise; Error for a module or a name that is not
 *   there; whatever the program throws
 */
export async function runProgram(text: string, modules: Modules, log: (...values: unknown[]) => void): Promise<void> {
  const imported: Record<string, Readonly<Record<string, unknown>>> = {};
  for (const [, names = "", specifier = ""] of text.matchAll(IMPORT)) {
    const load = modules[specifier];
    if (!load) throw new Error(`import: must be of ${Object.keys(modules).join(", ")}; got ${specifier}.`);
    const module = await load();
    for (const name of namesOf(names)) {
      const [from = name] = name.split(/\s+as\s+/);
      if (!(from in module)) throw new Error(`import: ${specifier} exports no ${from}.`);
    }
    imported[specifier] = module;
  }
  // As many lines as before, so that errors name the lines that the reader sees.
  const body = text.replace(IMPORT, (whole, names: string, specifier: string) => {
    const list = namesOf(names).map((name) => name.replace(/\s+as\s+/, ": "));
    const lines = "\n".repeat(whole.split("\n").length - 1);
    return `const { ${list.join(", ")} } = imported[${JSON.stringify(specifier)}];${lines}`;
  });
  const AsyncFunction = (async () => {}).constructor as new (...texts: string[]) => Program;
  await new AsyncFunction("console", "imported", `"use strict"; ${body}`)({ log }, imported);
}

const namesOf = (list: string): string[] =>
  list
    .split(",")
    .map((name) => name.trim())
    .filter((name) => name !== "");
