// What can stand around heads, by name: the one list that records of networks are read by.

import { guessOf } from "../../../base/index.ts";
import { ArgumentError } from "../../../engine/functions.ts";
import { additive } from "./additive.ts";
import { cascaded } from "./cascaded.ts";
import { confident } from "./confident.ts";
import { ensembled } from "./ensembled.ts";
import { experts } from "./experts.ts";
import { failureGated, gated } from "./gated.ts";
import type { HeadWrap } from "./head.ts";
import { hinted } from "./hinted.ts";
import { inline } from "./inline.ts";

const WRAPS: Readonly<Record<string, (...numbers: number[]) => HeadWrap>> = {
  cascaded,
  confident,
  ensembled,
  experts,
  gated,
  failureGated,
  hinted,
  inline,
  additive: (t = 0) => additive(t),
};

/** What a wrap's name stands for: `cascaded`, `additive(0.5)`. @throws ArgumentError for an unknown name. */
export function wrapOf(name: string): HeadWrap {
  const [, kind = "", list] = /^(\w+)(?:\(([^()]*)\))?$/.exec(name) ?? [];
  const make = Object.hasOwn(WRAPS, kind) ? WRAPS[kind] : undefined;
  const wrap = make?.(...(list === undefined ? [] : list.split(",").map(Number)));
  if (wrap?.name === name) return wrap;
  const names = Object.keys(WRAPS);
  throw new ArgumentError(
    `buildNetwork: wraps must be some of ${names.join(", ")}, numbers in parentheses; got ${JSON.stringify(name)}.` +
      (wrap ? ` Say ${wrap.name}.` : guessOf(kind, names)),
  );
}
