// Text of help, within the width of a page.

const WIDTH = 120;

/** Words on as many lines as they need; those after the first start with `indent` blanks, and the first may too. */
export function wrapped(text: string, indent = 0): string {
  const lines: string[] = [];
  for (const word of text.split(" ")) {
    const last = lines.at(-1);
    if (last === undefined || indent + last.length + 1 + word.length > WIDTH) lines.push(word);
    else lines[lines.length - 1] = `${last} ${word}`;
  }
  return lines.join(`\n${" ".repeat(indent)}`);
}

/** Paragraphs; lines that start with a blank stay as they were typed. */
export const paragraphs = (text: string): string =>
  text
    .replace(/(?<=\n|^)(\S.*)\n(?=\S)/g, "$1 ")
    .split("\n")
    .map((line) => (line.startsWith(" ") ? line : wrapped(line)))
    .join("\n");

/** Names and what they are, in two columns. */
export function columns(rows: readonly (readonly [name: string, about: string])[]): string {
  const width = Math.max(...rows.map(([name]) => name.length));
  return rows.map(([name, about]) => `  ${name.padEnd(width)}  ${wrapped(about, width + 4)}`).join("\n");
}
