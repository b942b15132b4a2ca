// The methods that can be trained, by name: the one list that commands, help and tests read.

import { boost } from "./boost.ts";
import { calexnet, calexnetReference } from "./calexnet.ts";
import { confidenceCgt, hardCgt, scheduleOnly, softCgt } from "./confidence-gated.ts";
import { decoupledDistillation } from "./dkd.ts";
import { jeiDnn } from "./jei-dnn.ts";
import { joint } from "./joint.ts";
import { knowledgeDistillation } from "./kd.ts";
import type { Method } from "./method.ts";
import { ptee } from "./ptee.ts";
import { safeKd } from "./safe-kd.ts";
import { ztw } from "./ztw.ts";

const ALL = [
  joint,
  softCgt,
  hardCgt,
  confidenceCgt,
  scheduleOnly,
  knowledgeDistillation,
  decoupledDistillation,
  safeKd,
  boost,
  calexnet,
  calexnetReference,
  ptee,
  ztw,
  jeiDnn,
] as readonly Method[];

/** Every method that `train` can be told by name. */
export const METHODS: Readonly<Record<string, Method>> = Object.fromEntries(ALL.map((method) => [method.name, method]));
