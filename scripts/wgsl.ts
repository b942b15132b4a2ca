// WGSL without comments and needless white space, in the texts of modules that are made of it: what a page loads is for
// a compiler. Tokens stay what they are, whatever stands between the parts of a template.

import ts from "typescript";
import type { Edit } from "./edits.ts";

/** White space, as it is or as an escape. */
const SPACE = String.raw`(?:\s|\\n)+`;
/** Signs that no other can grow together with. */
const ALONE = String.raw`[(){}\[\],;:@]`;
/** Operators, of which two in a row could mean something else. */
const OPERATOR = "[-+*/%<>=!&|^]";

const COMMENT = /(?:^|[ \t]+|(?<=[\s;{}]))\/\/[^\n]*/g;
const BESIDE_ALONE = new RegExp(`${SPACE}(?=${ALONE})|(?<=${ALONE})${SPACE}`, "g");
// Not at an end, where an operator could follow.
const BESIDE_OPERATOR = new RegExp(
  `(?<=\\w|[)\\]])${SPACE}(?=${OPERATOR})|(?<=[\\w)\\]]\\s*${OPERATOR}+)${SPACE}(?=[\\w(])`,
  "g",
);
const ANY = new RegExp(SPACE, "g");

/** A part of a WGSL text, between two interpolations, with as little white space as its tokens need. */
export function stripped(part: string): string {
  if (/^(?:\s|\\n)*$/.test(part)) return part.includes("\n") ? "\n" : part;
  return part
    .replace(COMMENT, "")
    .replace(BESIDE_ALONE, "")
    .replace(BESIDE_OPERATOR, "")
    .replace(ANY, (space) => (/\n|\\n/.test(space) ? "\n" : " "));
}

/**
 * What is to be left out of the texts of a module in JavaScript. @param isAll all of them are WGSL; else only templates
 * of several lines
 */
export function wgslEdits(code: string, isAll: boolean): Edit[] {
  const source = ts.createSourceFile("module.js", code, ts.ScriptTarget.Latest, true, ts.ScriptKind.JS);
  const edits: Edit[] = [];
  const visit = (node: ts.Node): void => {
    if (ts.isImportDeclaration(node) || ts.isExportDeclaration(node)) return;
    const [head, tail] = endsOf(node);
    if (head > 0 && (isAll || templateOf(node).includes("\n"))) {
      const [start, end] = [node.getStart() + head, node.end - tail];
      if (tail === 2 && /\/\/[^\n]*$/.test(code.slice(start, end)))
        throw new Error(`WGSL: a comment must not hold an interpolation; got ${code.slice(start, end).slice(-80)}`);
      const [from, text] = [code.slice(start, end), stripped(code.slice(start, end))];
      if (text !== from) edits.push({ start, end, text });
    }
    node.forEachChild(visit);
  };
  visit(source);
  return edits;
}

/** The whole template that a node is of, or nothing. */
function templateOf(node: ts.Node): string {
  if (ts.isNoSubstitutionTemplateLiteral(node)) return node.text;
  if (!ts.isTemplateHead(node) && !ts.isTemplateMiddle(node) && !ts.isTemplateTail(node)) return "";
  const whole = ts.isTemplateHead(node) ? node.parent : node.parent.parent;
  return ts.isTemplateExpression(whole)
    ? [whole.head, ...whole.templateSpans.map(({ literal }) => literal)].map(({ text }) => text).join("")
    : "";
}

/** Signs around a text, or a part of a template; 0 for anything else. */
function endsOf(node: ts.Node): readonly [head: number, tail: number] {
  if (ts.isStringLiteral(node) || ts.isNoSubstitutionTemplateLiteral(node) || ts.isTemplateTail(node)) return [1, 1];
  if (ts.isTemplateHead(node) || ts.isTemplateMiddle(node)) return [1, 2];
  return [0, 0];
}
