// The libraries of others that the package needs at run time lie in it, so that an app installs one package: of each
// only what is used, as one module in dist/vendor, with its licence. What few people need stays an optional peer.

import { cpSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join, relative, sep } from "node:path";
import { build } from "esbuild";

/** What the decoder of JPEG files is: kept as it is, since it looks for its WebAssembly beside itself. */
const JPEG = "@jsquash/jpeg/codec/dec/mozjpeg_dec.js";
/** Its WebAssembly, in `dist/vendor` and beside the build in one file. */
export const JPEG_CODE = "mozjpeg_dec.wasm";

/** Imports by name and as a namespace, static and dynamic, and what asks where a library is. */
const SPECIFIER = /((?:\bfrom|\bimport|\bimport\.meta\.resolve)\s*\(?\s*")([@\w][^":]*)(")/g;

/** A module of `dist` that uses libraries: its path, its text. */
export interface User {
  readonly path: string;
  readonly text: string;
}

/** The file of a library in `dist/vendor`. */
const fileOf = (specifier: string): string =>
  specifier === JPEG ? "mozjpeg_dec.js" : `${specifier.replace(/^@/, "").replaceAll("/", "-")}.js`;

/** Which names of each library the texts use; a namespace's by what stands behind its dot. */
export function namesUsed(users: readonly User[], libraries: ReadonlySet<string>): Map<string, Set<string>> {
  const used = new Map<string, Set<string>>();
  for (const { text } of users) {
    for (const [, bindings = "", specifier = ""] of text.matchAll(/^import ([^"]*?) from "([@\w][^"]*)";/gm)) {
      if (!libraries.has(packageOf(specifier))) continue;
      const names = used.get(specifier) ?? new Set();
      used.set(specifier, names);
      const space = /^\* as (\w+)$/.exec(bindings)?.[1];
      const found = space
        ? [...text.matchAll(new RegExp(`\\b${space}\\.(\\w+)`, "g"))].map(([, name = ""]) => name)
        : bindings
            .replace(/[{}\s]/g, "")
            .split(",")
            .map((name) => name.replace(/\bas\b.*/, ""));
      for (const name of found) if (name !== "") names.add(name);
    }
  }
  return used;
}

/** `@scope/name` or `name` of what is imported. */
const packageOf = (specifier: string): string =>
  specifier
    .split("/")
    .slice(0, specifier.startsWith("@") ? 2 : 1)
    .join("/");

/**
 * Puts the libraries that `users` import into `dist/vendor`. Gives what makes a text of `dist` import them from there.
 * @param libraries names of packages; all others stay what they are
 */
export async function bringLibraries(
  root: string,
  dist: string,
  users: readonly User[],
  libraries: ReadonlySet<string>,
): Promise<(user: User) => string> {
  const folder = join(dist, "vendor");
  mkdirSync(folder);
  const used = namesUsed(users, libraries);
  const contents = new Map(
    [...used].map(([specifier, names]) => [
      `${specifier}?`,
      `export { ${[...names].join(", ")} } from "${specifier}";`,
    ]),
  );
  const { metafile } = await build({
    absWorkingDir: root,
    entryPoints: [...used.keys()].map((name) => ({ in: `${name}?`, out: fileOf(name).replace(/\.js$/, "") })),
    outdir: folder,
    ...{ bundle: true, splitting: true, format: "esm", platform: "neutral", target: "es2022", minifySyntax: true },
    ...{ mainFields: ["module", "main"], conditions: ["module"], chunkNames: "shared-[hash]" },
    ...{ sourcemap: true, metafile: true, legalComments: "none" },
    plugins: [
      {
        name: "names-used",
        setup(on) {
          on.onResolve({ filter: /\?$/ }, ({ path }) => ({ path, namespace: "used", sideEffects: false }));
          on.onLoad({ filter: /.*/, namespace: "used" }, ({ path }) => ({
            contents: contents.get(path) ?? "",
            resolveDir: root,
          }));
        },
      },
    ],
  });
  const packages = new Set([...Object.keys(metafile.inputs).flatMap(ownerOf), packageOf(JPEG)]);
  const from = dirname(join(root, "node_modules", JPEG));
  for (const file of [fileOf(JPEG), JPEG_CODE]) cpSync(join(from, file), join(folder, file));
  writeFileSync(
    join(folder, "LICENSES.txt"),
    [...packages]
      .sort()
      .map((name) => licenceOf(root, name))
      .join("\n\n"),
  );
  return ({ path, text }) =>
    text.replace(SPECIFIER, (all, head: string, specifier: string, tail: string) => {
      if (!libraries.has(packageOf(specifier))) return all;
      const place = relative(dirname(path), join(folder, fileOf(specifier)))
        .split(sep)
        .join("/");
      return `${head}${place.startsWith(".") ? place : `./${place}`}${tail}`;
    });
}

/** The package that a bundled file is of. */
const ownerOf = (file: string): string[] => {
  const [, inside] = /.*node_modules\/(.*)/.exec(file) ?? [];
  return inside ? [packageOf(inside)] : [];
};

/** A package's name, version and licence. */
function licenceOf(root: string, name: string): string {
  const folder = join(root, "node_modules", name);
  const { version, license } = JSON.parse(readFileSync(join(folder, "package.json"), "utf8")) as Record<string, string>;
  const files = readdirSync(folder).filter((file) => /^(licen[cs]e|notice)/i.test(file));
  return [`${name} ${version}: ${license}`, ...files.map((file) => readFileSync(join(folder, file), "utf8"))].join(
    "\n\n",
  );
}
