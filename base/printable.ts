// Text of foreign files as a terminal may get it.

/**
 * Text with what a terminal would obey written out: control characters other than tabs and line breaks, and marks that
 * turn the direction of text: `\x1b`, `\u202e`.
 */
export const printable = (text: string): string =>
  text.replace(/(?![\t\n])[\p{Cc}\u2028-\u202e\u2066-\u2069]/gu, (character) => {
    const code = character.charCodeAt(0);
    return code < 256 ? `\\x${code.toString(16).padStart(2, "0")}` : `\\u${code.toString(16)}`;
  });
