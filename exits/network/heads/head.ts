// What an exit's head is: a module from the features in front of the exit, and from what earlier exits said, to what
// this exit says.

import { ArgumentError, cast, type Tensor } from "../../../engine/functions.ts";
import {
  EVAL,
  type Init,
  type Linear,
  type Mode,
  Module,
  type Pass,
  type StageInfo,
  type Tail,
  tailPass,
} from "../../../nn/index.ts";

/**
 * What an exit says of its rows: logits [N, C], and whatever its head adds. Fields that have a meaning for all:
 * `confidence` [N], how sure it is, before the sigmoid; `own` [N, C], its logits before it looked at other exits;
 * `features` [N, D], what the logits are linear in.
 */
export type ExitRecord = { readonly logits: Tensor } & Readonly<Record<string, Tensor>>;

/** From what an exit sees, and from the records of the exits before, to what it says; weights were prepared once. */
export type RecordPass = (x: Tensor, earlier: readonly ExitRecord[]) => ExitRecord;

/** Base of all heads. */
export abstract class Head extends Module {
  /**
   * Fields of earlier exits' records that it reads, of one that lacks a field its logits; a deployed network carries
   * these along.
   */
  readonly reads: readonly string[] = [];

  /** How many exits back it reads; default 1. */
  readonly reach: number = 1;

  /** Whether something of it is trained as matters stand; else it runs in evaluation mode. */
  get isTrained(): boolean {
    return this.parameters().length > 0;
  }

  /**
   * All that it reads of the features [N, ...], found without parameters: what is kept, row by row, where features are
   * computed once for many epochs. Default: the features.
   */
  view(features: Tensor): Tensor {
    return features;
  }

  /** What the head consists of, where it is such a thing. */
  get tail(): Tail | undefined {
    return undefined;
  }

  /**
   * From features to logits, as a pass, of a head that looks at no other exit. One that says no more than `forward`
   * runs for inference as it does in evaluation.
   */
  pass(mode: Mode): Pass {
    return (x) => recordOf(this.forward(this.view(x), mode, [])).logits;
  }

  /** The whole record as a pass, of every head. */
  recordPass(mode: Mode): RecordPass {
    return (x, earlier) => recordOf(this.forward(this.view(x), mode, earlier));
  }

  /**
   * Logits [N, C], or a whole record, from what `view` left of the features and from the records of the exits before.
   */
  abstract forward(x: Tensor, mode: Mode, earlier: readonly ExitRecord[]): Tensor | ExitRecord;
}

/** A head that ends in a linear layer, on features [N, D] that its record names. */
export abstract class LinearHead extends Head {
  abstract readonly linear: Linear;

  /** From what `view` left to [N, D]. */
  abstract embedPass(mode: Mode): Pass;

  override pass(mode: Mode): Pass {
    const { tail } = this;
    if (tail) return tailPass(tail, mode);
    const [embed, linear] = [this.embedPass(mode), this.linear.pass(mode)];
    return (x) => linear(embed(this.view(x)));
  }

  override recordPass(mode: Mode): RecordPass {
    const [embed, linear] = [this.embedPass(mode), this.linear.pass(mode)];
    return (x) => {
      const features = embed(this.view(x));
      return { logits: linear(features), features };
    };
  }

  override forward(x: Tensor, mode: Mode): ExitRecord {
    const features = this.embedPass(mode)(x);
    return { logits: this.linear.forward(features), features };
  }
}

/** Where a head sits. */
export interface HeadSite {
  /** The stage in front of it; `shape` is that of its features, [H, W, C] or [T, C]. */
  readonly stage: StageInfo;
  /** The backbone's last stage. */
  readonly deepest: StageInfo;
  readonly classes: number;
  /** Draws the head's weights. */
  readonly init: Init;
}

/** Makes a head for a site. */
export type HeadFactory = (site: HeadSite) => Head;

/** A kind of head, as data. */
export interface HeadRecord {
  /** As `HEADS` and the architectures of files name it. */
  readonly name: string;
  /** One line. */
  readonly about: string;
  /** Which features it reads: a map [H, W, C], or tokens [T, C]. */
  readonly on: "map" | "tokens";
  readonly make: HeadFactory;
}

/** The exit that a wrapped head answers for, from 0, of so many. */
export interface WrapSite extends Omit<HeadSite, "deepest"> {
  readonly exit: number;
  readonly exits: number;
  /** The last exit's head, without what is put around it. */
  readonly last: Head;
}

/**
 * What a method puts around the heads that its user chose, so that they say more or look at earlier exits. Made by
 * `cascaded()` and the like; given to `multiExit` as `wraps`.
 */
export interface HeadWrap {
  /** With its options, as it stands in the identity of a run: `additive(0.5)`. */
  readonly name: string;
  /** Whether the last exit is wrapped too; default only those in front of it. */
  readonly isForAll?: boolean;
  readonly wrap: (inner: Head, site: WrapSite) => Head;
}

/** A head around another: it reads of the features what that one reads, and adds to what that one says. */
export abstract class WrappedHead extends Head {
  readonly inner: Head;

  constructor(inner: Head) {
    super();
    this.inner = inner;
  }

  /** Of the inner head too, whose parameters may lie elsewhere: the backbone's. */
  override get isTrained(): boolean {
    return super.isTrained || this.inner.isTrained;
  }

  override view(features: Tensor): Tensor {
    return this.inner.view(features);
  }

  /** Goes on from what the inner head said. */
  abstract tell(record: ExitRecord, mode: Mode, earlier: readonly ExitRecord[]): ExitRecord;

  /** The inner head in evaluation mode where nothing of it is trained. */
  override forward(x: Tensor, mode: Mode, earlier: readonly ExitRecord[]): ExitRecord {
    const record = recordOf(this.inner.forward(x, this.inner.isTrained ? mode : EVAL, earlier));
    return this.tell(record, mode, earlier);
  }

  override recordPass(mode: Mode): RecordPass {
    const inner = this.inner.recordPass(mode);
    return (x, earlier) => this.tell(inF32(inner(x, earlier)), EVAL, earlier);
  }
}

/** A head around another that says more: its logits are the inner one's. */
export abstract class TellingHead extends WrappedHead {
  override get tail(): Tail | undefined {
    return this.inner.tail;
  }

  override pass(mode: Mode): Pass {
    return this.inner.pass(mode);
  }
}

/** How many features a head's logits are linear in, where they are. */
export const widthOf = (head: Head): number | undefined =>
  (head instanceof LinearHead ? head.linear : head.tail?.linear)?.weight.shape[0];

/** What a head and the heads within it read of earlier exits' records, and how many exits back; no field: nothing. */
export function readsOf(head: Head): { readonly fields: readonly string[]; readonly reach: number } {
  const inner = head instanceof WrappedHead ? readsOf(head.inner) : { fields: [], reach: 0 };
  if (head.reads.length === 0) return inner;
  return {
    fields: [...new Set([...head.reads, ...inner.fields])],
    reach: Math.max(head.reach, inner.reach),
  };
}

/** A field of what an earlier exit said; its logits where it lacks the field. */
export const heard = (record: ExitRecord, field: string): Tensor => record[field] ?? record.logits;

/** A field that a head adds to what it says. @throws ArgumentError for a head that does not */
export function saidOf(record: ExitRecord, field: string): Tensor {
  const said = record[field];
  if (said) return said;
  throw new ArgumentError(
    `exits: heads must say ${field}; got ${Object.keys(record).join(", ")}. A method's wraps add it.`,
  );
}

/** A record as f32: what small layers behind a head, and decisions, are computed in. */
export const inF32 = (record: ExitRecord): ExitRecord =>
  Object.fromEntries(Object.entries(record).map(([field, value]) => [field, cast(value, "f32")])) as ExitRecord;

/** What a head said, as a record. */
export const recordOf = (said: Tensor | ExitRecord): ExitRecord => ("logits" in said ? said : { logits: said });
