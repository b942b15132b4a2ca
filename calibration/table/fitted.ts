// Which samples a scaling or a gate was fitted on, so that thresholds are not tested on the same ones: there confidence
// looks better than it is.

import { check } from "../errors.ts";
import { checkDisjoint, type FittedOn, type Table } from "./table.ts";

const FITTED = new WeakMap<object, FittedOn>();

/** Remembers what `made` was fitted on. What comes from a file is not known. */
export function rememberFit(made: object, { ids, labels }: FittedOn): void {
  FITTED.set(made, { ids, labels });
}

/** What scores were fitted on before, and this was. */
export function fittedBy(made: unknown, before: readonly FittedOn[] = []): readonly FittedOn[] {
  const own = typeof made === "object" && made !== null ? FITTED.get(made) : undefined;
  return own ? [...before, own] : before;
}

/** Refuses samples on which their own scores were fitted. @throws CalibrationError */
export function checkUnfitted(op: string, { ids, labels, fittedOn = [] }: FittedOn & Pick<Table, "fittedOn">): void {
  for (const on of fittedOn) {
    const must = "scaling and gates must be fitted on other samples than those that test thresholds";
    check(on.labels !== labels, op, must, "the very same table", "Fit them on validation samples.");
    checkDisjoint(op, on, { ids }, ["scaling", "calibration"]);
  }
}
