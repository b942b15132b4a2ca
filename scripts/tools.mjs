// Where the development tools are that other scripts and tests start.

/**
 * The compiler, written in Go: it checks the repository in 3 s, where version 6 needs 18 s. That one is installed as
 * `typescript`, because it has the programming interface that typedoc and the scripts that count need.
 */
export const TSC = "node_modules/typescript-7/bin/tsc";

/** What looks at the packed package: its exports and files, and whether its types resolve to what runs. */
export const PUBLINT = "node_modules/publint/src/cli.js";
export const ATTW = "node_modules/@arethetypeswrong/cli/dist/index.js";

/** What counts the parts of the sources that a run of Node went through. */
export const C8 = "node_modules/c8/bin/c8.js";

/** What lints and formats. */
export const BIOME = "node_modules/@biomejs/biome/bin/biome";

/** What finds files, exports and dependencies that nothing uses. */
export const KNIP = "node_modules/knip/bin/knip.js";

/** What makes pages of the documentation comments; here it only says what is wrong with them. */
export const TYPEDOC = "node_modules/typedoc/bin/typedoc";

/** What makes the site of Markdown. */
export const VITEPRESS = "node_modules/vitepress/bin/vitepress.js";
