// Which public functions take options, by what their sources say: the parameters of every exported function, arrow and
// class.

import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";

/** Name -> text of the parameters, of everything that the files below `folder` export and that can be called. */
export function signatures(folder: string): Map<string, string> {
  const found = new Map<string, string>();
  for (const file of readdirSync(folder, { recursive: true, encoding: "utf8" })) {
    if (!file.endsWith(".ts")) continue;
    const text = readFileSync(join(folder, file), "utf8").replace(/\/\*[\s\S]*?\*\/|^\s*\/\/.*$/gm, "");
    for (const { 1: name = "", index } of text.matchAll(/^export (?:async )?function (\w+)/gm))
      found.set(name, parameters(text, index));
    for (const { 0: head, 1: name = "", index } of text.matchAll(
      /^export const (\w+)(?:: [\w<>[\], ]+)? =\s*(?:positional\(\s*"[^"]*",\s*)?(?:async )?(?=[(])/gm,
    ))
      found.set(name, parameters(text, index + head.length));
    for (const { 1: name = "", index } of text.matchAll(/^export (?:abstract )?class (\w+)/gm)) {
      const body = text.slice(index, text.indexOf("\n}\n", index));
      const at = body.search(/^ {2}constructor\(/m);
      found.set(name, at < 0 ? "" : parameters(body, at));
    }
  }
  return found;
}

/** What stands between the first parenthesis from `at` on and the one that closes it. */
function parameters(text: string, at: number): string {
  const start = text.indexOf("(", at) + 1;
  let depth = 1;
  let end = start;
  for (; depth > 0; end++) depth += text[end] === "(" ? 1 : text[end] === ")" ? -1 : 0;
  return text.slice(start, end - 1);
}

/** The parameters one by one; of what stands in brackets nothing is left. */
export function parameterList(parameters: string): string[] {
  let depth = 0;
  const outside = [...parameters].filter((c) => {
    depth += "([{<".includes(c) ? 1 : ")]}>".includes(c) ? -1 : 0;
    return depth === 0;
  });
  return outside
    .join("")
    .split(",")
    .map((one) => one.trim());
}

/** Whether these parameters hold an object of options, which a name may be wrong in. */
export const takesOptions = (parameters: string): boolean =>
  /\boptions\b|\blevels: RiskLevels|Options\b|Recipe\b|: RandomSource|\binput: (Table|Scores)Input|\bfile: PolicyFile/.test(
    parameters,
  );
