// Python's pickles, as far as the CIFAR files in them need it: dictionaries, lists, tuples, texts, bytes, integers and
// arrays of bytes by NumPy. A pickle is a program; everything else in one is refused by name, and nothing is ever run.

import { DataError } from "../errors.ts";

/** What such a pickle can hold. Texts of Python 2 are bytes to it, and texts here. */
export type Pickled =
  | null
  | boolean
  | number
  | string
  | Uint8Array
  | readonly Pickled[]
  | ReadonlyMap<string, Pickled>
  | ByteArray;

/** An array of bytes by NumPy. */
interface ByteArray {
  readonly kind: "bytes";
  readonly shape: readonly number[];
  readonly data: Uint8Array;
}

/** Names that may be called: they make arrays. */
const GLOBALS = [
  "numpy.core.multiarray _reconstruct",
  "numpy._core.multiarray _reconstruct",
  "numpy ndarray",
  "numpy dtype",
] as const;

type Global = (typeof GLOBALS)[number];

/** What is under construction. */
type Item =
  | { kind: "plain"; value: null | boolean | number }
  | { kind: "text"; bytes: Uint8Array }
  | { kind: "list"; items: Item[] }
  | { kind: "dict"; pairs: Map<string, Item> }
  | { kind: "global"; name: Global }
  | { kind: "array"; state: readonly Item[] | undefined }
  | { kind: "dtype"; code: string }
  | { kind: "mark" };

/** A dictionary of lists, and a level to spare. */
const DEEPEST = 4;

const latin = (bytes: Uint8Array): string => Array.from(bytes, (byte) => String.fromCharCode(byte)).join("");

/** Reads a pickle. @throws DataError naming `file` for one that is damaged, and for whatever such files do not hold. */
export function readPickle(bytes: Uint8Array, file: string): Pickled {
  const machine = new Machine(bytes, file);
  return machine.run();
}

class Machine {
  readonly #bytes: Uint8Array;
  readonly #view: DataView;
  readonly #file: string;
  readonly #stack: Item[] = [];
  readonly #memo = new Map<number, Item>();
  #at = 0;
  #made = 0;

  constructor(bytes: Uint8Array, file: string) {
    this.#bytes = bytes;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.#file = file;
  }

  run(): Pickled {
    for (let op = this.#byte(); op !== 0x2e; op = this.#byte()) this.#step(op);
    const value = this.#finished(this.#pop());
    if (this.#stack.length > 0) this.#refuse("it must end with one value", "more");
    return value;
  }

  #refuse(must: string, got: string): never {
    throw new DataError(`readPickle: ${this.#file}: ${must}; got ${got}.`, { file: this.#file });
  }

  #take(count: number): Uint8Array {
    if (!(count >= 0) || this.#at + count > this.#bytes.length)
      this.#refuse("the file must be whole", `an end ${this.#bytes.length - this.#at} bytes behind byte ${this.#at}`);
    this.#at += count;
    return this.#bytes.subarray(this.#at - count, this.#at);
  }

  #byte(): number {
    const [byte = 0] = this.#take(1);
    return byte;
  }

  #number(size: 2 | 4): number {
    this.#take(size);
    const at = this.#at - size;
    return size === 2 ? this.#view.getUint16(at, true) : this.#view.getInt32(at, true);
  }

  #line(): string {
    const end = this.#bytes.indexOf(10, this.#at);
    const text = latin(this.#take((end < 0 ? this.#bytes.length : end) - this.#at));
    this.#take(1);
    return text;
  }

  #push(item: Item): void {
    this.#stack.push(item);
  }

  #pop(): Item {
    return this.#stack.pop() ?? this.#refuse("it must be a pickle", "one that takes what is not there");
  }

  #top(): Item {
    return this.#stack.at(-1) ?? this.#refuse("it must be a pickle", "one that looks at what is not there");
  }

  /** What stands above the last mark, which goes. */
  #marked(): Item[] {
    const at = this.#stack.findLastIndex(({ kind }) => kind === "mark");
    if (at < 0) this.#refuse("it must be a pickle", "one without a mark");
    return this.#stack.splice(at).slice(1);
  }

  #tuple(count: number): void {
    this.#push({ kind: "list", items: Array.from({ length: count }, () => this.#pop()).reverse() });
  }

  #step(op: number): unknown {
    const plain = (value: null | boolean | number) => this.#push({ kind: "plain", value });
    const text = (length: number) => this.#push({ kind: "text", bytes: this.#take(length) });
    switch (String.fromCharCode(op)) {
      case "\x80": // PROTO
        return void this.#take(1);
      case "\x95": // FRAME
        return void this.#take(8);
      case "(":
        return this.#push({ kind: "mark" });
      case "}":
        return this.#push({ kind: "dict", pairs: new Map() });
      case "]":
      case ")":
        return this.#push({ kind: "list", items: [] });
      case "N":
        return plain(null);
      case "\x88":
        return plain(true);
      case "\x89":
        return plain(false);
      case "K":
        return plain(this.#byte());
      case "M":
        return plain(this.#number(2));
      case "J":
        return plain(this.#number(4));
      case "U":
      case "C":
      case "\x8c":
        return text(this.#byte());
      case "T":
      case "B":
      case "X":
        return text(this.#number(4));
      case "\x85":
      case "\x86":
      case "\x87":
        return this.#tuple(op - 0x84);
      case "t":
        return this.#push({ kind: "list", items: this.#marked() });
      case "q":
        return void this.#memo.set(this.#byte(), this.#top());
      case "r":
        return void this.#memo.set(this.#number(4), this.#top());
      case "\x94":
        return void this.#memo.set(this.#memo.size, this.#top());
      case "h":
        return this.#recall(this.#byte());
      case "j":
        return this.#recall(this.#number(4));
      default:
        return this.#build(op);
    }
  }

  #recall(at: number): void {
    this.#push(this.#memo.get(at) ?? this.#refuse("it must be a pickle", "one that recalls what it has not kept"));
  }

  /** What puts things together. */
  #build(op: number): unknown {
    switch (String.fromCharCode(op)) {
      case "a":
        return this.#append([this.#pop()]);
      case "e":
        return this.#append(this.#marked());
      case "s":
        return this.#set([this.#pop(), this.#pop()].reverse());
      case "u":
        return this.#set(this.#marked());
      case "c":
        return this.#global(this.#line(), this.#line());
      case "\x93": {
        const [name, module] = [this.#text(this.#pop()), this.#text(this.#pop())];
        return this.#global(module, name);
      }
      case "R": {
        const args = this.#list(this.#pop());
        return this.#call(this.#pop(), args);
      }
      case "b": {
        const state = this.#list(this.#pop());
        const made = this.#top();
        if (made.kind === "array") made.state = state;
        else if (made.kind !== "dtype") this.#refuse("only arrays may be given a state", made.kind);
        return;
      }
      default:
        return this.#refuse("a CIFAR pickle must hold plain values and arrays", `the operation 0x${op.toString(16)}`);
    }
  }

  #append(items: readonly Item[]): void {
    const list = this.#top();
    if (list.kind !== "list") this.#refuse("values must be appended to a list", list.kind);
    for (const item of items) list.items.push(item);
  }

  #set(items: readonly Item[]): void {
    const dict = this.#top();
    if (dict.kind !== "dict") this.#refuse("values must be set in a dictionary", dict.kind);
    for (let i = 0; i + 1 < items.length; i += 2) dict.pairs.set(this.#text(items[i]!), items[i + 1]!);
  }

  #global(module: string, name: string): void {
    const known = GLOBALS.find((one) => one === `${module} ${name}`);
    if (!known) this.#refuse("a CIFAR pickle may call what makes arrays of NumPy only", `${module}.${name}`);
    this.#push({ kind: "global", name: known });
  }

  #call(callee: Item, args: readonly Item[]): unknown {
    if (callee.kind !== "global") this.#refuse("what is called must be a name", callee.kind);
    const [first] = args;
    if (callee.name === "numpy dtype" && first) return this.#push({ kind: "dtype", code: this.#text(first) });
    if (callee.name.endsWith("_reconstruct")) return this.#push({ kind: "array", state: undefined });
    return this.#refuse("arrays must be made by _reconstruct", callee.name);
  }

  #text(item: Item): string {
    return item.kind === "text" ? latin(item.bytes) : this.#refuse("a name must be a text", item.kind);
  }

  #list(item: Item): readonly Item[] {
    return item.kind === "list" ? item.items : this.#refuse("arguments must be a tuple", item.kind);
  }

  /** The value of an item. What is shared is not let grow beyond the file, nor may anything hold itself. */
  #finished(item: Item, depth = 0): Pickled {
    if (depth > DEEPEST || ++this.#made > this.#bytes.length)
      this.#refuse("values must be those of CIFAR", "more of them, or deeper ones");
    switch (item.kind) {
      case "plain":
        return item.value;
      case "text":
        return latin(item.bytes);
      case "list":
        return item.items.map((one) => this.#finished(one, depth + 1));
      case "dict":
        return new Map([...item.pairs].map(([key, value]) => [key, this.#finished(value, depth + 1)]));
      case "array":
        return this.#array(item.state ?? []);
      default:
        return this.#refuse("values must be plain or arrays", item.kind);
    }
  }

  /** State of an array: version, shape, dtype, whether columns go first, bytes. */
  #array(state: readonly Item[]): ByteArray {
    const [, size, dtype, columns, content] = state;
    const shape = size ? this.#list(size).map((one) => (one.kind === "plain" ? Number(one.value) : Number.NaN)) : [];
    const isBytes = dtype?.kind === "dtype" && dtype.code === "u1";
    const isRows = columns?.kind === "plain" && columns.value === false;
    const data = content?.kind === "text" ? content.bytes : undefined;
    if (isBytes && isRows && data?.length === shape.reduce((all, one) => all * one, 1))
      return { kind: "bytes", shape, data };
    return this.#refuse("arrays must be of bytes, row by row, and whole", "another");
  }
}
