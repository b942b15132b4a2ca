// The command, run in this process as a shell would.

import { main } from "../../cli/main.ts";

/** Its exit code, and what it printed. */
export async function run(...args: string[]): Promise<{ code: number; text: string }> {
  const lines: string[] = [];
  const code = await main(args, (line) => lines.push(line));
  return { code, text: lines.join("\n") };
}
