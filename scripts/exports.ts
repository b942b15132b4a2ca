// What a module exports, by reading texts alone: names are followed through `export *`, `export { } from` and imports
// to their declarations.

import { posix } from "node:path";
import ts from "typescript";

/** A name that a module exports, and the declarations that it stands for (several of an overloaded or merged one). */
export interface Exported {
  readonly name: string;
  /** What a namespace holds. */
  readonly members?: readonly Exported[];
  /** The file that declares it, and by which name. */
  readonly file: string;
  readonly declared: string;
  readonly declarations: readonly ts.Statement[];
}

interface Module {
  readonly declared: ReadonlyMap<string, ts.Statement[]>;
  readonly imported: ReadonlyMap<string, Link>;
  readonly exported: ReadonlyMap<string, Link>;
  /** Namespace -> the file that it is of. */
  readonly namespaces: ReadonlyMap<string, string>;
  readonly stars: readonly string[];
  readonly effects: readonly string[];
  readonly statements: readonly ts.Statement[];
}

/** Where a name goes on: to a name of another file, or of the same. */
interface Link {
  readonly file: string;
  readonly name: string;
}

/** Reads the modules of one tree, each once. */
export class Modules {
  readonly #read: (file: string) => string;
  readonly #modules = new Map<string, Module>();

  /** @param read gives the text of a file, by its path from the root */
  constructor(read: (file: string) => string) {
    this.#read = read;
  }

  /** All that a file exports, sorted by name. */
  exportsOf(file: string): Exported[] {
    return [...this.#names(file)].sort().map((name) => {
      const found = this.#find(file, name);
      if (!found) throw new Error(`${file}: exports ${name}, which nothing declares`);
      return { ...found, name };
    });
  }

  /**
   * What is declared in the files that a file imports for their effect alone: they may add members to what it exports.
   */
  addedBy(file: string): ts.Statement[] {
    const declares = (one: ts.Statement): boolean => !ts.isImportDeclaration(one) && !ts.isExportDeclaration(one);
    return this.#module(file).effects.flatMap((effect) => this.#module(effect).statements.filter(declares));
  }

  #names(file: string): Set<string> {
    const { exported, namespaces, stars } = this.#module(file);
    return new Set([...exported.keys(), ...namespaces.keys(), ...stars.flatMap((star) => [...this.#names(star)])]);
  }

  #find(file: string, name: string): Exported | undefined {
    const { exported, namespaces, stars } = this.#module(file);
    const namespace = namespaces.get(name);
    if (namespace)
      return { name, file: namespace, declared: "*", declarations: [], members: this.exportsOf(namespace) };
    const link = exported.get(name);
    if (!link) return stars.map((star) => this.#find(star, name)).find((found) => found !== undefined);
    if (link.file !== file) return this.#find(link.file, link.name);
    const { declared, imported } = this.#module(file);
    const declarations = declared.get(link.name);
    if (declarations) return { name, file, declared: link.name, declarations };
    const from = imported.get(link.name);
    return from && this.#find(from.file, from.name);
  }

  #module(file: string): Module {
    const known = this.#modules.get(file);
    if (known) return known;
    const made = parse(file, this.#read(file));
    this.#modules.set(file, made);
    return made;
  }
}

function parse(file: string, text: string): Module {
  const declared = new Map<string, ts.Statement[]>();
  const imported = new Map<string, Link>();
  const exported = new Map<string, Link>();
  const namespaces = new Map<string, string>();
  const stars: string[] = [];
  const effects: string[] = [];
  const { statements } = ts.createSourceFile(file, text, ts.ScriptTarget.Latest, true);
  for (const statement of statements) {
    const from = targetOf(file, statement);
    if (ts.isExportDeclaration(statement)) {
      const names = statement.exportClause;
      if (names && ts.isNamedExports(names))
        for (const { name, propertyName } of names.elements)
          exported.set(name.text, { file: from ?? file, name: (propertyName ?? name).text });
      else if (from && names && ts.isNamespaceExport(names)) namespaces.set(names.name.text, from);
      else if (from) stars.push(from);
    } else if (ts.isImportDeclaration(statement)) {
      const names = statement.importClause?.namedBindings;
      if (from && !statement.importClause) effects.push(from);
      if (from && names && ts.isNamedImports(names))
        for (const { name, propertyName } of names.elements)
          imported.set(name.text, { file: from, name: (propertyName ?? name).text });
    } else
      for (const name of namesOf(statement)) {
        declared.set(name, [...(declared.get(name) ?? []), statement]);
        if (isExported(statement)) exported.set(name, { file, name });
      }
  }
  return { declared, imported, exported, namespaces, stars, effects, statements };
}

/**
 * The file that an import or export names, if it is one of the tree. In a tree of declarations that is a declaration
 * too.
 */
function targetOf(file: string, statement: ts.Statement): string | undefined {
  if (!ts.isExportDeclaration(statement) && !ts.isImportDeclaration(statement)) return undefined;
  const specifier = statement.moduleSpecifier;
  if (!specifier || !ts.isStringLiteral(specifier) || !specifier.text.startsWith(".")) return undefined;
  const target = posix.join(posix.dirname(file), specifier.text);
  return file.endsWith(".d.ts") ? target.replace(/(\.d)?\.[tj]s$/, ".d.ts") : target;
}

function namesOf(statement: ts.Statement): string[] {
  if (ts.isVariableStatement(statement))
    return statement.declarationList.declarations.flatMap(({ name }) => (ts.isIdentifier(name) ? [name.text] : []));
  const isNamed =
    ts.isFunctionDeclaration(statement) ||
    ts.isClassDeclaration(statement) ||
    ts.isInterfaceDeclaration(statement) ||
    ts.isTypeAliasDeclaration(statement) ||
    ts.isEnumDeclaration(statement);
  return isNamed && statement.name ? [statement.name.text] : [];
}

const isExported = (statement: ts.Statement): boolean =>
  ts.canHaveModifiers(statement) &&
  (ts.getModifiers(statement) ?? []).some(({ kind }) => kind === ts.SyntaxKind.ExportKeyword);

/** The public entries of the package: specifier after the package's name -> source file. */
export function publicEntries(packageJson: string): Map<string, string> {
  const { exports } = JSON.parse(packageJson) as { exports: Record<string, { types?: string }> };
  return new Map(
    Object.entries(exports).flatMap(([name, { types }]) =>
      types && !name.endsWith(".min.js")
        ? [[name.slice(2), types.replace(/^\.\/dist\//, "").replace(/\.d\.ts$/, ".ts")] as const]
        : [],
    ),
  );
}

/**
 * Names by which two of the entries export different things, and by which: `engine/functions` counts as a part of
 * `engine`. One declaration that several entries pass on, as the root of all errors, is one thing.
 */
export function doubleNames(modules: Modules, entries: ReadonlyMap<string, string>): Map<string, string[]> {
  const owners = new Map<string, Map<string, string>>();
  for (const [entry, file] of entries) {
    if ([...entries.keys()].some((other) => entry.startsWith(`${other}/`))) continue;
    for (const found of modules.exportsOf(file))
      owners.set(found.name, new Map(owners.get(found.name)).set(entry, `${found.file} ${found.declared}`));
  }
  return new Map(
    [...owners].filter(([, by]) => new Set(by.values()).size > 1).map(([name, by]) => [name, [...by.keys()]]),
  );
}
