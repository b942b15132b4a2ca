// A network made of a record, which run folders and model files keep. The one place where a name becomes a network.

import { completer, json, lookUp, SEED, SortieError } from "../../base/index.ts";
import { ArgumentError, readOptions } from "../../engine/functions.ts";
import { BACKBONE_PARTS, BACKBONES, type BackboneKind } from "../../nn/index.ts";
import { multiExit, stagesOf } from "./attach.ts";
import { HEADS, type HeadKind } from "./heads/index.ts";
import { wrapOf } from "./heads/wraps.ts";
import type { MultiExit } from "./multi-exit.ts";
import { type Architecture, type BuildOptions, setOrigin } from "./origin.ts";

/**
 * Makes the network that a record describes, its weights drawn by a seed. @throws ArgumentError for a record that
 * describes none.
 *
 * @example
 * ```ts
 * import { buildNetwork } from "sortie/exits";
 *
 * const net = buildNetwork({
 *   backbone: "resnet",
 *   options: { depth: 8, widths: [4, 4, 8] },
 *   input: [8, 8, 1],
 *   classes: 10,
 *   exits: ["stage1"],
 * });
 * console.log(net.exits); // 2
 * ```
 */
export const buildNetwork = (architecture: Architecture, options: BuildOptions = {}): MultiExit =>
  build(architecture, options, (name) => named(BACKBONES, name));

/** The same, for which the backbone is loaded alone. */
export async function loadNetwork(architecture: Architecture, options: BuildOptions): Promise<MultiExit> {
  const kind = await named(BACKBONE_PARTS, readArchitecture(architecture).backbone)();
  return build(architecture, options, () => kind);
}

function build(architecture: Architecture, options: BuildOptions, kindOf: (name: string) => BackboneKind): MultiExit {
  const { seed = 0, device } = readOptions("buildNetwork", options, { seed: SEED, device: "any" });
  const {
    backbone,
    options: own,
    input,
    classes,
    exits,
    head,
    last = "own",
    wraps = [],
  } = readArchitecture(architecture);
  const kind = kindOf(backbone);
  const given = completer(readOptions)(`buildNetwork: ${backbone}`, kind.options, own ?? {});
  const known = Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined));
  const body = kind.make(known, { input, classes, seed, ...(device && { device }) });
  stagesOf(body, exits, "buildNetwork: exits");
  const net = multiExit(body, {
    after: exits,
    ...(head !== undefined && { head: typeof head === "string" ? HEADS[head] : head.map((name) => HEADS[name]) }),
    ...(last !== "own" && { last: HEADS[last] }),
    wraps: wraps.map(wrapOf),
    seed,
  });
  const heads = net.describe().map((exit) => exit.head.kind as HeadKind);
  const complete: Architecture = {
    backbone,
    options: known,
    input,
    classes,
    exits,
    head: heads.slice(0, exits.length),
    last,
    ...(wraps.length > 0 && { wraps }),
  };
  setOrigin(net, { architecture: complete, again: (options) => build(complete, options, kindOf) });
  return net;
}

const named = <T>(backbones: Readonly<Record<string, T>>, name: string): T =>
  lookUp("buildNetwork: backbone", backbones, name, ArgumentError);

const HEAD_KINDS = Object.keys(HEADS) as HeadKind[];
const readHead = json.oneOf(HEAD_KINDS);
const RECORD = {
  backbone: json.text,
  options: json.optional(json.object),
  input: (value: unknown, place: string): Architecture["input"] => {
    const shape = json.list(json.count)(value, place);
    const [height = 0, width = 0, channels = 0] = shape;
    if (shape.length === 3 && height * width * channels > 0) return [height, width, channels];
    throw new SortieError(`${place} must be [height, width, channels]; got [${shape.join(", ")}].`);
  },
  classes: json.count,
  exits: json.list(json.text),
  head: json.optional((value, place) =>
    Array.isArray(value) ? json.list(readHead)(value, place) : readHead(value, place),
  ),
  last: json.optional(json.oneOf([...HEAD_KINDS, "own"])),
  wraps: json.optional(json.list(json.text)),
} as const satisfies Readonly<Record<keyof Architecture, json.Reader<unknown>>>;

/** A record of which every field is checked. @throws ArgumentError that names the field. */
export function readArchitecture(value: unknown): Architecture {
  try {
    return json.parts(value, "architecture", RECORD);
  } catch (cause) {
    if (cause instanceof ArgumentError || !(cause instanceof SortieError)) throw cause;
    throw new ArgumentError(`buildNetwork: ${cause.message}`, { cause });
  }
}
