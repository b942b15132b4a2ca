// What a way to train is, as data: a name, what it is, whose it is, its options, and the objective that they make. Flags, help,
// checks and the identity of a run are read from this record; nothing else knows a method by name.

import type { Given, OptionSet } from "../../base/index.ts";
import type { Objective } from "../training/objective.ts";

/** Where a method was published. */
export interface Paper {
  readonly title: string;
  readonly venue: string;
  readonly arxiv?: string;
}

/** A way to train a multi-exit network. */
export interface Method<S extends OptionSet = OptionSet> {
  /** By which commands and configuration files call it. */
  readonly name: string;
  /** One line. */
  readonly about: string;
  /** None: a baseline or a control. */
  readonly paper?: Paper;
  readonly options: S;
  /** The objective that these options make; what is not given has its default. Throws ArgumentError for what does not fit. */
  objective(options: Given<S>): Objective;
}

/** A method, whose objective sees its options typed. */
export const defineMethod = <const S extends OptionSet>(method: Method<S>): Method<S> => method;
