// What the house style asks of a source text that no other tool looks at: reading by index, `@throws`, and the width of
// comments.

import ts from "typescript";

/** A place that is not as it should be: `file:line: what`. */
export function styleFaults(file: string, text: string): string[] {
  const source = ts.createSourceFile(file, text, ts.ScriptTarget.Latest, true);
  const faults: string[] = [];
  const fault = (position: number, what: string): void => {
    faults.push(`${file}:${source.getLineAndCharacterOfPosition(position).line + 1}: ${what}`);
  };
  const visit = (node: ts.Node): void => {
    if (ts.isNonNullExpression(node) && !isIndex(node.expression)) fault(node.end, "`!` stands behind an index only");
    if (ts.isAsExpression(node) && isIndex(node.expression) && !admitsUndefined(node.type))
      fault(node.end, "an index is not cast by `as`");
    ts.forEachChild(node, visit);
  };
  visit(source);
  for (const { 0: comment, index } of text.matchAll(/\/\*\*[\s\S]*?\*\//g)) {
    if (/\bThrows\b/.test(comment)) fault(index, "errors are said by `@throws`");
    if (/@throws(?!\s+(\*\s+)?([A-Z]\w*)?Error\b)/.test(comment)) fault(index, "`@throws` names the error");
  }
  return faults;
}

/** `values[i]`, in brackets or not. */
function isIndex(node: ts.Expression): boolean {
  return ts.isParenthesizedExpression(node) ? isIndex(node.expression) : ts.isElementAccessExpression(node);
}

/** Whether a type, as it is written, says that there may be nothing: then it takes nothing for sure. */
const admitsUndefined = (type: ts.TypeNode): boolean => /\b(undefined|unknown)\b/.test(type.getText());
