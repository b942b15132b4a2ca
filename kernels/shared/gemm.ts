// The inner loops shared by every matrix product, convolutions included: C[m, n] = sum over k of A[m, k] B[k, n]. An
// operand is known by its loads alone: WGSL functions that the kernel writes and the loops here call. A load brings a
// quad, four neighbours along k ("k") or along m or n ("mn"), so no operand is ever transposed or unfolded in memory.
//
// subgroup A subgroup owns rows*lanes rows x `cols` columns. Lanes are rows; the 4 x cols values of B that a step needs
//           are loaded once by all lanes together and handed round by subgroupBroadcast. For CPU adapters, where a load costs ten FMAs.
// tile      A workgroup stages `depth` k of both operands in workgroup memory; a thread owns rows x cols. For GPUs.
// plain     A thread owns rows x cols and shares nothing. Where there are no subgroups and no fast workgroup memory.
// Sums are f32 and run upwards in k whatever the storage type.

import { ceilDiv, ENTRY, type KernelFeature, type StorageType } from "../kernel.ts";

/** How a product is cut into threads; part of the spec of every kernel built here. */
export type GemmTile = {
  readonly variant: "subgroup" | "tile" | "plain";
  /** Threads of a workgroup. */
  readonly threads: number;
  /** Threads side by side along n (1 in the subgroup variant). */
  readonly across: number;
  /** Rows of C a thread owns; where A's quads lie along m a multiple of 4, and 4 in the subgroup variant. */
  readonly rows: number;
  /** Columns of C a thread (subgroup variant: a subgroup) owns; a multiple of 4. */
  readonly cols: number;
  /** Subgroup size the text is made for (subgroup variant). */
  readonly lanes: number;
  /** k staged at a time (tile variant); a multiple of 4. */
  readonly depth: number;
};

/**
 * What the adapter offers, as far as the choice of a tile depends on it. `subgroupSize` is 0 unless all subgroups have
 * one size.
 */
export interface GemmAdapter {
  readonly hasSubgroups: boolean;
  readonly subgroupSize: number;
  /** True where the adapter runs on the CPU and loads are dear. */
  readonly isSoftware: boolean;
}

/** Along which axis the four values of one load lie. */
type QuadAxis = "k" | "mn";

/** The kernel's side of the loops: WGSL that defines the functions named here. */
export interface GemmParts {
  readonly a: QuadAxis;
  readonly b: QuadAxis;
  /**
   * Declarations, among them
   * `fn a_row(m: u32) -> Row` state of row m (of rows m..m+3 where A's quads lie along m),
   * `fn a_load(run: Run, k: u32) -> vec4f` and `fn b_load(k: u32, n: u32) -> vec4f`, zero past the end of the run,
   * `fn c_row(m: u32) -> u32` where a row of C begins, `fn store(at: u32, n: u32, value: vec4f)`.
   */
  readonly functions: string;
  /** Statements that declare `m_tile`, `n_tile` (first row and column of the workgroup), `m_end` and `n_end`. */
  readonly place: string;
  /** Expression for the state of a row inside the current run of k; absent: the row itself. */
  readonly run?: (row: string) => string;
  /**
   * The loops over k around `body`, which takes `step` values from `k` on; `enter` belongs at the start of each run.
   */
  readonly loops: (enter: string, body: string, step: number) => string;
}

/** Rows and columns of C that one workgroup makes. */
export function tileSize(tile: GemmTile): { readonly m: number; readonly n: number } {
  return { m: (tile.threads / tile.across) * tile.rows, n: tile.across * tile.cols };
}

/** WGSL functions, bindings and entry point of one product. */
export function gemm(tile: GemmTile, parts: GemmParts): string {
  const main = tile.variant === "subgroup" ? subgroupMain : tile.variant === "tile" ? tileMain : plainMain;
  return `${parts.functions}\n${main(tile, parts)}`;
}

const range = (n: number): number[] => Array.from({ length: n }, (_, i) => i);
const lines = (n: number, line: (i: number) => string): string => range(n).map(line).join("\n");

const accumulators = (tile: GemmTile): string =>
  lines(tile.rows, (j) => lines(tile.cols / 4, (q) => `var c${j}_${q} = vec4f();`));

/** The value of row `j` at k + kk; A's quads are a0, a1, ... in either layout. */
const valueOfA = (a: QuadAxis, j: number, kk: number): string =>
  a === "k" ? `a${j}[${kk}]` : `a${(j >> 2) * 4 + kk}[${j & 3}]`;

/** Four steps of k: `b(kk, q)` is the quad of columns q at k + kk. */
function multiply(tile: GemmTile, a: QuadAxis, b: (kk: number, q: number) => string): string {
  const sum = (j: number, q: number): string =>
    range(4).reduce((total, kk) => `fma(vec4f(${valueOfA(a, j, kk)}), b${kk}_${q}, ${total})`, `c${j}_${q}`);
  return lines(
    tile.cols / 4,
    (q) =>
      `${lines(4, (kk) => `let b${kk}_${q} = ${b(kk, q)};`)}\n${lines(tile.rows, (j) => `c${j}_${q} = ${sum(j, q)};`)}`,
  );
}

/**
 * The same column by column, for texts compiled to CPU code, where a value fills a register: four of B at a time stay
 * there, and sixteen would not (measured on lavapipe: a sixth faster, and less to compile). `b(kk, o)` is a value.
 */
function multiplyColumns({ rows, cols }: GemmTile, a: QuadAxis, b: (kk: number, o: number) => string): string {
  const sum = (acc: string, j: number, o: number): string =>
    range(4).reduce((total, kk) => `fma(${valueOfA(a, j, kk)}, b${kk}_${o}, ${total})`, acc);
  return lines(cols, (o) => {
    const sums = lines(rows, (j) => `acc[${j * cols + o}] = ${sum(`acc[${j * cols + o}]`, j, o)};`);
    return `${lines(4, (kk) => `let b${kk}_${o} = ${b(kk, o)};`)}\n${sums}`;
  });
}

/** Rows of a thread, `stride` apart (quads of rows where A's quads lie along m), from the thread's first row `m`. */
const rowOf = (a: QuadAxis, j: number, stride: number): string =>
  a === "k" ? `m + ${j * stride}u` : `m + ${(j >> 2) * 4 * stride + (j & 3)}u`;

/** Writes what the thread owns; rows and columns past the end are dropped. */
function writeBack(tile: GemmTile, a: QuadAxis, stride: number): string {
  const { rows, cols } = tile;
  return lines(rows, (j) => {
    const stores = lines(cols / 4, (q) => `if (n + ${4 * q}u < n_end) { store(at, n + ${4 * q}u, c${j}_${q}); }`);
    return `if (${rowOf(a, j, stride)} < m_end) {\nlet at = c_row(${rowOf(a, j, stride)});\n${stores}\n}`;
  });
}

/**
 * The same as a loop, for texts compiled to CPU code: sixteen unrolled stores take as long to compile as the product.
 * Its bounds are no constants, so that nothing unrolls it again and the accumulators stay in memory, which also spares
 * the register allocator (measured on lavapipe: half the compile time at the same speed).
 */
function writeBackLoop({ rows, cols, lanes }: GemmTile, a: QuadAxis): string {
  return `let quads = min(${cols / 4}u, (n_end - n + 3u) / 4u);
let m_last = min(m_end, ${a === "k" ? `m_first + ${rows * lanes}u` : "m + 4u"});
var first = 0u;
for (var r = m; r < m_last; r += ${a === "k" ? lanes : 1}u) {
let at = c_row(r);
for (var q = 0u; q < quads; q++) {
let e = first + 4u * q;
store(at, n + 4u * q, vec4f(acc[e], acc[e + 1u], acc[e + 2u], acc[e + 3u]));
}
first += ${cols}u;
}`;
}

/** States of the rows a thread loads, and their states inside a run. */
function rowStates(tile: GemmTile, parts: GemmParts, stride: number): { rows: string; enter: string; loads: string } {
  const quads = parts.a === "k" ? tile.rows : tile.rows / 4;
  const row = (i: number): string => rowOf(parts.a, parts.a === "k" ? i : 4 * i, stride);
  const run = parts.run;
  return {
    rows: lines(quads, (i) => `let row${i} = a_row(${row(i)});`),
    enter: run ? lines(quads, (i) => `let run${i} = ${run(`row${i}`)};`) : "",
    loads:
      parts.a === "k"
        ? lines(quads, (i) => `let a${i} = a_load(${run ? "run" : "row"}${i}, k);`)
        : lines(quads, (i) => lines(4, (kk) => `let a${4 * i + kk} = a_load(${run ? "run" : "row"}${i}, k + ${kk}u);`)),
  };
}

/** The four values of column quad `q` at `kk`, picked out of column-wise quads along k. */
const gather = (column: (o: number) => string, kk: number, q: number): string =>
  `vec4f(${range(4)
    .map((o) => `${column(4 * q + o)}[${kk}]`)
    .join(", ")})`;

/**
 * Accumulators that nobody uses, behind those of 32 columns, which are 4 KiB on the stack of CPU code: what lies behind
 * them would be taken for them by a processor that compares the last twelve bits of addresses (measured: an eighth).
 */
const APART = 16;

function subgroupMain(tile: GemmTile, parts: GemmParts): string {
  const { lanes, rows, cols } = tile;
  const state = rowStates(tile, parts, lanes);
  const loads = ceilDiv(cols, lanes); // B's step is `cols` quads
  const quad = (i: number): string => (lanes * (i + 1) > cols ? `(lane % ${cols}u)` : `(lane + ${i * lanes}u)`);
  const shareB = lines(loads, (i) =>
    parts.b === "mn"
      ? `let s${i} = b_load(k + ${quad(i)} / ${cols / 4}u, n + 4u * (${quad(i)} % ${cols / 4}u));`
      : `let s${i} = b_load(k, n + ${quad(i)});`,
  );
  const shared = (i: number, e: number): string => `subgroupBroadcast(s${Math.floor(i / lanes)}[${e}], ${i % lanes}u)`;
  const b = (kk: number, o: number): string =>
    parts.b === "mn" ? shared((kk * cols) / 4 + (o >> 2), o & 3) : shared(o, kk);
  const first = parts.a === "k" ? "lane" : "4u * lane";
  // Each subgroup leaves by itself; its trip counts depend on uniforms, and its index is assumed to be li / lanes.
  return `@diagnostic(off, subgroup_uniformity)
@compute @workgroup_size(${tile.threads})
fn main(${ENTRY}, @builtin(subgroup_invocation_id) lane: u32) {
${parts.place}
let n = n_tile;
let m_first = m_tile + (li / ${lanes}u) * ${rows * lanes}u;
if (m_first >= m_end) { return; }
let m = m_first + ${first};
${state.rows}
var acc = array<f32, ${rows * cols + (cols > 16 ? APART : 0)}>();
${parts.loops(state.enter, `${state.loads}\n${shareB}\n${multiplyColumns(tile, parts.a, b)}`, 4)}
${writeBackLoop(tile, parts.a)}
}`;
}

function plainMain(tile: GemmTile, parts: GemmParts): string {
  const { across, cols, threads } = tile;
  const down = threads / across;
  const state = rowStates(tile, parts, down);
  const columns = parts.b === "k" ? lines(cols, (o) => `let t${o} = b_load(k, n + ${o}u);`) : "";
  const b = (kk: number, q: number): string =>
    parts.b === "mn" ? `b_load(k + ${kk}u, n + ${4 * q}u)` : gather((o) => `t${o}`, kk, q);
  return `@compute @workgroup_size(${threads})
fn main(${ENTRY}) {
${parts.place}
let n = n_tile + (li % ${across}u) * ${cols}u;
let m = m_tile + (li / ${across}u)${parts.a === "k" ? "" : " * 4u"};
if (m >= m_end || n >= n_end) { return; }
${state.rows}
${accumulators(tile)}
${parts.loops(state.enter, `${state.loads}\n${columns}\n${multiply(tile, parts.a, b)}`, 4)}
${writeBack(tile, parts.a, down)}
}`;
}

function tileMain(tile: GemmTile, parts: GemmParts): string {
  const { across, rows, cols, threads, depth } = tile;
  const down = threads / across;
  const size = tileSize(tile);
  const deep = depth / 4;
  // A quad's place: along k, rows of depth/4 quads and one of padding against bank conflicts; along m or n, one row per
  // k.
  const stageA = stage(threads, size.m, depth, parts.a);
  const stageB = stage(threads, size.n, depth, parts.b);
  const run = parts.run;
  const state = run ? "run" : "row";
  const setup = lines(stageA.slots, (i) => `let row${i} = a_row(m_tile + ${stageA.mn(i)});`);
  const enter = run ? lines(stageA.slots, (i) => `let run${i} = ${run(`row${i}`)};`) : "";
  const fill = [
    lines(stageA.slots, (i) => stageA.guard(i, `tile_a[${stageA.at(i)}] = a_load(${state}${i}, k + ${stageA.k(i)});`)),
    lines(stageB.slots, (i) =>
      stageB.guard(i, `tile_b[${stageB.at(i)}] = b_load(k + ${stageB.k(i)}, n_tile + ${stageB.mn(i)});`),
    ),
  ].join("\n");
  const loadA =
    parts.a === "k"
      ? lines(rows, (j) => `let a${j} = tile_a[(y + ${j * down}u) * ${deep + 1}u + kq];`)
      : lines(rows, (i) => `let a${i} = tile_a[(4u * kq + ${i & 3}u) * ${size.m / 4}u + y + ${(i >> 2) * down}u];`);
  const columns =
    parts.b === "k" ? lines(cols, (o) => `let t${o} = tile_b[(x * ${cols}u + ${o}u) * ${deep + 1}u + kq];`) : "";
  const b = (kk: number, q: number): string =>
    parts.b === "mn"
      ? `tile_b[(4u * kq + ${kk}u) * ${size.n / 4}u + x * ${cols / 4}u + ${q}u]`
      : gather((o) => `t${o}`, kk, q);
  return `var<workgroup> tile_a: array<vec4f, ${stageA.quads}>;
var<workgroup> tile_b: array<vec4f, ${stageB.quads}>;
@compute @workgroup_size(${threads})
fn main(${ENTRY}) {
${parts.place}
let x = li % ${across}u;
let y = li / ${across}u;
let n = n_tile + x * ${cols}u;
let m = m_tile + y${parts.a === "k" ? "" : " * 4u"};
${setup}
${accumulators(tile)}
${parts.loops(
  enter,
  `workgroupBarrier();
${fill}
workgroupBarrier();
for (var kq = 0u; kq < ${deep}u; kq++) {
${loadA}
${columns}
${multiply(tile, parts.a, b)}
}`,
  depth,
)}
${writeBack(tile, parts.a, down)}
}`;
}

/** How `threads` threads carry `depth` x `extent` values into workgroup memory, one quad each at a time. */
function stage(threads: number, extent: number, depth: number, axis: QuadAxis) {
  const total = (extent * depth) / 4;
  const deep = depth / 4;
  const index = (i: number): string => `(li + ${i * threads}u)`;
  const wide = extent / 4;
  return {
    slots: ceilDiv(total, threads),
    quads: axis === "k" ? extent * (deep + 1) : total,
    mn: (i: number): string => (axis === "k" ? `${index(i)} / ${deep}u` : `4u * (${index(i)} % ${wide}u)`),
    k: (i: number): string => (axis === "k" ? `4u * (${index(i)} % ${deep}u)` : `${index(i)} / ${wide}u`),
    at: (i: number): string =>
      axis === "k" ? `(${index(i)} / ${deep}u) * ${deep + 1}u + ${index(i)} % ${deep}u` : index(i),
    guard: (i: number, statement: string): string =>
      (i + 1) * threads > total ? `if (${index(i)} < ${total}u) { ${statement} }` : statement,
  };
}

/** Features that a product's text needs. */
export const gemmFeatures = (spec: { variant: string; dtype: string }): readonly KernelFeature[] => [
  ...(spec.dtype === "f16" ? (["f16"] as const) : []),
  ...(spec.variant === "subgroup" ? (["subgroups"] as const) : []),
];

/**
 * Whether the loops never ask for what lies behind the end of a run, given that runs are multiples of 4: all variants
 * but `tile` go four k at a time.
 */
export const staysInside = ({ variant }: Pick<GemmTile, "variant">, isRunByQuads: boolean): boolean =>
  variant !== "tile" && isRunByQuads;

/** WGSL type of a storage array, read by quads or by elements. */
export const arrayType = (dtype: StorageType, isVec: boolean): string =>
  isVec ? `array<vec4<${dtype}>>` : `array<${dtype}>`;

/**
 * `fn <name>(at: u32, left: i32) -> vec4f`: the quad that begins at element `at` of `buffer`, as f32. Only its first
 * `left` values exist; the others read as 0. With `isVec`, `at` is a multiple of 4 and a quad exists wholly or not at
 * all; with `exists` it does wherever its result is stored, and nobody has to look.
 */
export function quadLoad(name: string, buffer: string, isVec: boolean, exists = false): string {
  const scalar = (e: number): string => `select(0.0, f32(${buffer}[at + ${e}u]), left > ${e})`;
  const quad = `vec4f(${buffer}[at / 4u])`;
  const body = !isVec
    ? `vec4f(${range(4).map(scalar).join(", ")})`
    : exists
      ? quad
      : `select(vec4f(), ${quad}, left > 0)`;
  return `fn ${name}(at: u32, left: i32) -> vec4f { return ${body}; }`;
}

/**
 * `fn <name>(at: i32, first: i32, last: i32) -> vec4f`: the quad that begins at element `at` of `buffer`, of which the
 * values first <= e < last exist and the others read as 0: a window over an image row with padding on both sides.
 */
export function quadWindow(name: string, buffer: string, isVec: boolean): string {
  const scalar = (e: number): string =>
    `select(0.0, f32(${buffer}[u32(at${e > 0 ? ` + ${e}` : ""})]), first <= ${e} && last > ${e})`;
  const body = isVec
    ? `select(vec4f(), vec4f(${buffer}[u32(at) / 4u]), first <= 0 && last > 0)`
    : `vec4f(${range(4).map(scalar).join(", ")})`;
  return `fn ${name}(at: i32, first: i32, last: i32) -> vec4f { return ${body}; }`;
}

/**
 * `fn <name>(at: u32, left: i32, value: vec4f)`: writes the first `left` values of a quad to `buffer` from element
 * `at`.
 */
export function quadStore(name: string, buffer: string, dtype: StorageType, isVec: boolean): string {
  const body = isVec
    ? `${buffer}[at / 4u] = vec4<${dtype}>(value);`
    : lines(4, (e) => `if (left > ${e}) { ${buffer}[at + ${e}u] = ${dtype}(value[${e}]); }`);
  return `fn ${name}(at: u32, left: i32, value: vec4f) {\n${body}\n}`;
}

/** Sizes that the choice of a tile depends on; `parts` counts the products (batches, groups, splits) of this size. */
export interface GemmSizes {
  readonly m: number;
  readonly n: number;
  readonly k: number;
  readonly parts: number;
  /** How A's quads lie, and whether each is one load. */
  readonly a: QuadAxis;
  readonly isVec: boolean;
}

/** Multiply-adds below which the time to compile a text outweighs its speed. */
const SMALL_WORK = 1e6;
/** The same for texts that load A by elements: four loads a quad, and most of the time to compile goes into loads. */
const SMALL_WORK_BY_ELEMENTS = 1e8;

/** Tiles fit for a product on an adapter, the default first. */
export function gemmTiles(sizes: GemmSizes, adapter: GemmAdapter): readonly GemmTile[] {
  const grouped = adapter.hasSubgroups && [4, 8, 16, 32].includes(adapter.subgroupSize);
  const cpu = grouped ? subgroupTiles(sizes, adapter.subgroupSize) : [];
  const staged = stagedTiles(sizes);
  return adapter.isSoftware ? [...cpu, PLAIN] : [...staged, ...cpu.filter(({ cols }) => cols <= 16), PLAIN];
}

const PLAIN: GemmTile = { variant: "plain", threads: 64, across: 8, rows: 4, cols: 8, lanes: 0, depth: 0 };

// Four rows a lane: more do not stay in registers. What lavapipe makes of a load of a quad takes as long as 40
// multiply-adds, most of it branches, and every load that the text has more makes the others slower. 32 columns, 512
// multiply-adds for 8 loads, are a fifth faster than 16, 256 for 6, unless columns are left over (measured; 64 columns,
// 6 or 8 rows, 8 k at a time, and a window that slides over a line are slower, and half as fast for the most part).
function subgroupTiles({ m, n, k, parts, a, isVec }: GemmSizes, lanes: number): readonly GemmTile[] {
  const isSmall = m * n * k * parts < (isVec ? SMALL_WORK : SMALL_WORK_BY_ELEMENTS);
  const fitting = m <= lanes ? 1 : m <= 2 * lanes || isSmall ? 2 : 4;
  const rows = a === "mn" ? 4 : fitting;
  const cols = n <= 8 || (a === "mn" && isSmall) ? 8 : 16;
  const tile = (width: number): GemmTile => {
    const groups = ceilDiv(m, rows * 4 * lanes) * ceilDiv(n, width) * parts;
    const threads = groups < 4 ? lanes : 4 * lanes;
    return { variant: "subgroup", threads, across: 1, rows, cols: width, lanes, depth: 0 };
  };
  if (n <= 16 || rows < 4) return [tile(cols)];
  const isWaste = ceilDiv(n, 2 * cols) * 2 > ceilDiv(n, cols);
  return a === "mn" || isWaste ? [tile(cols), tile(2 * cols)] : [tile(2 * cols), tile(cols)];
}

// Workgroup memory stays within the 16 KiB that every adapter has, padding included.
function stagedTiles({ m, n, parts }: GemmSizes): readonly GemmTile[] {
  const square = (threads: number, each: number, depth: number): GemmTile => {
    const across = Math.sqrt(threads);
    return { variant: "tile", threads, across, rows: each, cols: each, lanes: 0, depth };
  };
  const [small, middle, large] = [square(64, 4, 16), square(64, 8, 16), square(256, 8, 8)];
  const groups = ceilDiv(m, 64) * ceilDiv(n, 64) * parts;
  return groups < 128 ? [small, middle] : [middle, large, small];
}
