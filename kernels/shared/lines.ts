// Lines of a text that differ by a number.

export const range = (n: number): number[] => Array.from({ length: n }, (_, i) => i);
export const lines = (n: number, line: (i: number) => string): string => range(n).map(line).join("\n");
