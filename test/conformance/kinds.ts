// Which function runs a case: one map per kind, from the op's name in the case to a runner through the public API.

import { checkInputs, watched } from "./attrs.ts";
import { calibrationCases } from "./calibration.ts";
import { type Case, type CaseFunction, type CaseRunner, type CaseTensors, prefixed, tensorsOf } from "./case.ts";
import { compareCase } from "./compare.ts";
import { onEngine } from "./engine.ts";
import { lossCases } from "./loss.ts";
import { modelCases } from "./model.ts";
import { opCases } from "./op.ts";
import { optimCases } from "./optim.ts";
import { multiExitTraining } from "./training.ts";

/** A map of functions as a map of runners. */
function runners<F>(functions: Readonly<Record<string, F>>, runner: (fn: F) => CaseRunner): Map<string, CaseRunner> {
  return new Map(Object.entries(functions).map(([op, fn]) => [op, runner(fn)]));
}

const onHost =
  (fn: CaseFunction): CaseRunner =>
  async (one: Case): Promise<CaseTensors> => {
    const { seen, unread } = watched(tensorsOf(one, "in"));
    const outputs = fn(seen, one.attrs);
    checkInputs(unread());
    return prefixed("out", outputs);
  };

/** The kinds of cases that can be run, and their ops. */
export const KINDS: Readonly<Record<string, ReadonlyMap<string, CaseRunner>>> = {
  op: runners(opCases, onEngine),
  optim: new Map(Object.entries(optimCases)),
  model: new Map(Object.entries({ ...modelCases, multiExitTraining })),
  loss: runners(lossCases, onEngine),
  calibration: runners(calibrationCases, onHost),
};

/**
 * Ops whose behaviour on NaN and infinities a GPU does not promise. A case of theirs is reported as unsupported, by
 * name, if it is tagged `nonfinite`; nothing else ever is.
 */
const NONFINITE_UNSUPPORTED: ReadonlySet<string> = new Set([]);

/** What became of a case. */
export type Verdict =
  | { readonly status: "passed" | "unsupported" }
  | { readonly status: "failed"; readonly reasons: readonly string[] };

/** Runs a case through the public API and compares all that it expects. */
export async function runCase(one: Case): Promise<Verdict> {
  if (one.tags.includes("nonfinite") && NONFINITE_UNSUPPORTED.has(`${one.kind}/${one.op}`))
    return { status: "unsupported" };
  const runner = KINDS[one.kind]?.get(one.op);
  if (!runner) return { status: "failed", reasons: [`unknown op ${one.kind}/${one.op}`] };
  try {
    const [attrs, tensors] = [watched(one.attrs), watched(one.tensors)];
    const faults = compareCase(one, await runner({ ...one, attrs: attrs.seen, tensors: tensors.seen }));
    const inputs = tensors.unread().filter((name) => name.startsWith("in."));
    const reasons = [
      ...faults,
      ...attrs.unread().map((name) => `attribute ${name} is not used`),
      ...inputs.map((name) => `${name} is not used`),
    ];
    return reasons.length > 0 ? { status: "failed", reasons } : { status: "passed" };
  } catch (error) {
    const { name, message } = error as Error;
    return { status: "failed", reasons: [`${name}: ${message}`.replaceAll("\n", " ")] };
  }
}
