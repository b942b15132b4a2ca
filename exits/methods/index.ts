// The methods that can be trained, by name: the one list that commands, help and tests read.

import { adaloss } from "./adaloss.ts";
import { beem } from "./beem.ts";
import { boost } from "./boost.ts";
import { branchynet } from "./branchynet.ts";
import { calexnet, calexnetReference } from "./calexnet.ts";
import { certifiedCgt } from "./certified-cgt.ts";
import { confidenceCgt, hardCgt, plainCgt, scheduleOnly, shuffledCgt, softCgt } from "./confidence-gated.ts";
import { disjoint } from "./disjoint.ts";
import { distilLast, distilLater, distilNext } from "./distil-exits.ts";
import { decoupledDistillation } from "./dkd.ts";
import { failurePrediction } from "./eefp.ts";
import { eefpCgt } from "./eefp-cgt.ts";
import { eenet } from "./eenet.ts";
import { erde } from "./erde.ts";
import { imta } from "./imta.ts";
import { jeiDnn } from "./jei-dnn.ts";
import { joint } from "./joint.ts";
import { knowledgeDistillation } from "./kd.ts";
import { l2wDen } from "./l2w-den.ts";
import { layerWise } from "./layer-wise.ts";
import { linearWeights } from "./linear.ts";
import type { Method } from "./method.ts";
import { mixed } from "./mixed.ts";
import { neoKd } from "./neo-kd.ts";
import { phuongLampert } from "./phuong-lampert.ts";
import { ptee } from "./ptee.ts";
import { safeKd } from "./safe-kd.ts";
import { sdn } from "./sdn.ts";
import { selectiveNet } from "./selective-net.ts";
import { byot } from "./self-distill.ts";
import { ztw } from "./ztw.ts";

/** By family: schedules, gates, distillation, heads that look at each other or at themselves. */
const ALL = [
  joint,
  linearWeights,
  sdn,
  branchynet,
  disjoint,
  mixed,
  layerWise,
  adaloss,
  l2wDen,

  softCgt,
  hardCgt,
  confidenceCgt,
  plainCgt,
  scheduleOnly,
  shuffledCgt,
  certifiedCgt,
  eefpCgt,

  knowledgeDistillation,
  decoupledDistillation,
  safeKd,
  erde,
  distilLast,
  distilLater,
  distilNext,
  phuongLampert,
  byot,
  imta,
  neoKd,

  boost,
  calexnet,
  calexnetReference,
  ptee,
  ztw,
  jeiDnn,
  selectiveNet,
  eenet,
  beem,
  failurePrediction,
] as readonly Method[];

/** Every method that `train` can be told by name. */
export const METHODS: Readonly<Record<string, Method>> = Object.fromEntries(ALL.map((method) => [method.name, method]));
