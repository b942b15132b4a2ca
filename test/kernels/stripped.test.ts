// The package holds the texts of kernels without comments and needless white space (scripts/wgsl.ts): token by token
// they are those of the sources, on every kind of adapter, and shorter.

import { execFileSync } from "node:child_process";
import { cpSync, mkdtempSync, readdirSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { editedMappings } from "../../scripts/edits.ts";
import { moduleOf } from "../../scripts/modules.ts";
import { stripped, wgslEdits } from "../../scripts/wgsl.ts";
import { assert, suite } from "../harness.ts";
import type { KernelText } from "./texts.ts";

const root = fileURLToPath(new URL("../..", import.meta.url));
const test = suite("texts of kernels in the package", { timeout: 180_000 });

/** Tokens of WGSL as its specification takes them: the longest first. */
const TOKEN =
  /(?:\/\/[^\n]*|\s+)|([A-Za-z_]\w*|\d[\w.]*(?:(?<=[eE])[-+]\d+\w?)?|\.\d\w*|<<=|>>=|[-+*/%&|^<>=!]=|--|\+\+|->|<<|>>|&&|\|\||[^\s])/g;
const tokens = (text: string): string[] => [...text.matchAll(TOKEN)].flatMap(([, token]) => (token ? [token] : []));

/** What the sources, or a copy of them, make of the op table. */
function textsOf(folder: string): Map<string, string> {
  const out = execFileSync(process.execPath, ["--import", "tsx", join(folder, "test/kernels/texts.ts")], {
    ...{ cwd: folder, encoding: "utf8", maxBuffer: 2 ** 24 },
  });
  return new Map((JSON.parse(out) as KernelText[]).map(({ key, code }) => [key, code]));
}

test("are those of the sources token by token", async () => {
  const copy = mkdtempSync(join(tmpdir(), "sortie-stripped-"));
  try {
    for (const folder of ["base", "calibration", "data", "engine", "exits", "kernels", "nn", "onnx", "test"])
      cpSync(join(root, folder), join(copy, folder), { recursive: true });
    for (const file of ["package.json", "tsconfig.json"]) cpSync(join(root, file), join(copy, file));
    symlinkSync(join(root, "node_modules"), join(copy, "node_modules"), "junction");
    for (const folder of ["kernels", "exits/ops"])
      for (const file of readdirSync(join(root, folder), { recursive: true, encoding: "utf8" }))
        if (file.endsWith(".ts"))
          writeFileSync(join(copy, folder, file), (await moduleOf(join(root, folder, file))).code);
    const [own, short] = [textsOf(root), textsOf(copy)];
    assert.equal([...short.keys()], [...own.keys()]);
    const other = [...own].filter(([key, text]) => tokens(text).join(" ") !== tokens(short.get(key) ?? "").join(" "));
    assert.equal(
      other.map(([key]) => key),
      [],
    );
    const length = (texts: ReadonlyMap<string, string>): number => [...texts.values()].join("").length;
    assert.ok(own.size > 100 && length(short) < 0.9 * length(own), `${length(short)} of ${length(own)} characters`);
    assert.not.match([...short.values()].join("\n"), /\/\//);
  } finally {
    rmSync(copy, { recursive: true });
  }
});

test("keep what a sign beside an interpolation could become a part of", () => {
  assert.is(stripped("let a = b - -c; // why\n  let d = (e) & f ;\n"), "let a=b- -c;let d=(e)&f;");
  assert.is(stripped(" - "), " - ");
  assert.is(stripped("x = "), "x= ");
  assert.is(stripped("fn f(a: f32, b: vec4<f32>) -> f32 {\n  return a;\n}"), "fn f(a:f32,b:vec4<f32>)->f32{return a;}");
  assert.is(stripped("else if (a) {"), "else if(a){");
  assert.is(stripped("\n"), "\n");
});

test("hold no comment that goes on behind an interpolation: what follows would be left in", () => {
  const hole = ["$", "{n}"].join("");
  assert.throws(() => wgslEdits(`const a = \`x; // ${hole} of them\n\`;`, true), /a comment must not hold/);
  assert.equal(wgslEdits(`const a = \`x; // all of them\n${hole}\`;`, true).length, 1);
});

test("and their source maps follow", () => {
  // One line, three places: 0, 8 and 16; then a line of one place.
  const [code, mappings] = ["let a = 'x  +  y', b = 1;\nb;", "AAAA,QAAQ,QAAQ;AACR"];
  const edits = [{ start: 10, end: 15, text: "+" }];
  assert.is(editedMappings(code, edits, mappings), "AAAA,QAAQ,IAAQ;AACR");
  assert.is(editedMappings(code, [{ start: 24, end: 26, text: "" }], mappings), "AAAA,QAAQ,QAAQ,QACR");
});
