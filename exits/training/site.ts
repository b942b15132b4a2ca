// What the phases of a method may depend on, read off a network.

import { lastOf } from "../../base/index.ts";
import type { PhaseSite } from "../methods/method.ts";
import type { MultiExit } from "../network/multi-exit.ts";

/** The site that a network is to the methods which train it. */
export function siteOf(net: MultiExit): PhaseSite {
  const macs = net.macs();
  const costs = macs.map((each) => each / lastOf(macs));
  return { exits: net.exits, classes: net.classes, costs, placeOf: (name) => net.placeOf(name) };
}
