/** Conformance cases of kind "optim". */

import type { CaseRunner } from "./case.ts";

/** Op name to runner. */
export const optimCases: Record<string, CaseRunner> = {};
