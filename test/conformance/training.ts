// Conformance cases of training: some steps of a multi-exit network from PyTorch's weights, with what became of it.

import { backward, noGrad, openScope, type Tensor, tensor } from "../../engine/index.ts";
import { joint } from "../../exits/methods/joint.ts";
import type { TrainingPlan } from "../../exits/methods/method.ts";
import { safeKd } from "../../exits/methods/safe-kd.ts";
import { multiExit } from "../../exits/network/attach.ts";
import type { MultiExit } from "../../exits/network/multi-exit.ts";
import {
  Adam,
  AdamW,
  Backbone,
  BatchNorm2d,
  Conv2d,
  EMA,
  EVAL,
  Init,
  loadTorch,
  type Mode,
  type Module,
  type Renames,
  SGD,
  type Stage,
  TRAIN,
  toTorchName,
} from "../../nn/index.ts";
import type { Optimizer } from "../../nn/optim/optimizer.ts";
import { exitWeightsAt, lossOf, lossPerExit } from "../exits/track.ts";
import { demand, pick } from "./attrs.ts";
import type { Case, CaseAttrs, CaseRunner, CaseTensors } from "./case.ts";
import { toDevice, toHost } from "./engine.ts";
import { get, inTorch, noGradHost, type Size, weightsOf } from "./network.ts";

/** The small convolutional network of the training cases: a stem, then blocks of convolution, norm and relu. */
class PlainCnn extends Backbone {
  readonly stem: readonly [Conv2d, BatchNorm2d];
  readonly blocks: readonly (readonly [Conv2d, BatchNorm2d])[];
  readonly stages: readonly Stage[];
  readonly input: Size;
  readonly classes: number;

  constructor(
    { channels, strides, numClasses }: { channels: number[]; strides: number[]; numClasses: number },
    input: Size,
  ) {
    super();
    const init = new Init({ seed: 1 });
    const block = (inputs: number, outputs: number, stride: number) =>
      [new Conv2d(inputs, outputs, init, { kernel: 3, stride }), new BatchNorm2d(outputs, init)] as const;
    const at = (i: number) => channels[i] as number;
    this.stem = block(input[2], at(0), 1);
    this.blocks = strides.map((stride, i) => block(at(i), at(i + 1), stride));
    this.stages = strides.map((_, i) => ({ name: `stage${i + 1}`, channels: at(i + 1), reduction: 1, kind: "map" }));
    this.input = input;
    this.classes = numClasses;
  }

  stage(i: number, x: Tensor, mode: Mode): Tensor {
    const run = (y: Tensor, [conv, norm]: readonly [Conv2d, BatchNorm2d]) =>
      norm.forward(conv.forward(y), mode, { activation: "relu" });
    return run(i === 0 ? run(x, this.stem) : x, this.blocks[i] as readonly [Conv2d, BatchNorm2d]);
  }

  classify(): Tensor {
    throw new Error("every exit of this network is a head");
  }
}

/** PyTorch's names of the case against those of a multi-exit network. */
const RENAMES: Renames = {
  fromFile: (name) => name.replace(/^(stem|blocks)\./, "backbone.$1.").replace(/^exits\.(\d+)\./, "heads.$1.linear."),
  toFile: (name) => name.replace(/^backbone\./, "").replace(/^heads\.(\d+)\.linear\./, "exits.$1."),
};
const toCase = (name: string): string => toTorchName(name, RENAMES);

interface TrainingAttrs {
  readonly objective: "jointCrossEntropy" | "safeKd";
  readonly steps: number;
  readonly strides: readonly number[];
  readonly exitWeights: number[];
  readonly labelSmoothing: number;
  readonly alpha: number;
  readonly beta: number;
  readonly T: number;
  readonly emaDecay: number;
}

/** Optimisers of training cases, and which attributes are their options. */
const OPTIMIZERS = {
  sgd: [SGD, ["lr", "weightDecay", "momentum", "nesterov", "dampening"]],
  adam: [Adam, ["lr", "weightDecay", "beta1", "beta2", "eps", "amsgrad"]],
  adamw: [AdamW, ["lr", "weightDecay", "beta1", "beta2", "eps", "amsgrad"]],
} as const;

function optimizerOf(attrs: CaseAttrs, parameters: readonly Tensor[]): Optimizer {
  demand(attrs, "optimizer", ...Object.keys(OPTIMIZERS));
  const [Made, names] = OPTIMIZERS[(attrs["optimizer"] ?? "sgd") as keyof typeof OPTIMIZERS];
  return new Made(parameters, pick(attrs, ...names));
}

function objectiveOf({
  objective,
  exitWeights,
  labelSmoothing,
  alpha,
  beta,
  T: temperature,
  emaDecay,
}: TrainingAttrs): TrainingPlan {
  if (objective === "jointCrossEntropy") return joint.with({ exitWeights, labelSmoothing });
  return safeKd.with({ exitWeights, alpha, beta, temperature, emaDecay, labelSmoothing });
}

/** Row `t` of an input over steps, on the device. */
function stepInput(one: Case, name: string, t: number): Tensor {
  const { dtype, shape, data } = get(one, name);
  const size = data.length / (shape[0] as number);
  return toDevice({ dtype, shape: shape.slice(1), data: data.slice(t * size, (t + 1) * size) });
}

/** Values of several steps, one above the other. */
function overSteps(steps: readonly CaseTensors[]): CaseTensors {
  return Object.fromEntries(
    Object.entries(steps[0] ?? {}).map(([name, { shape }]) => {
      const data = Float32Array.from(steps.flatMap((values) => Array.from(values[name]?.data ?? [])));
      return [name, { dtype: "F32", shape: [steps.length, ...shape], data }];
    }),
  );
}

/** Steps of training, their losses and logits, and the network behind the last of them. */
export const multiExitTraining: CaseRunner = async (one) => {
  using _ = openScope();
  demand(one.attrs, "arch", "multiExitCnn");
  demand(one.attrs, "objective", "jointCrossEntropy", "safeKd");
  const attrs = one.attrs as unknown as TrainingAttrs;
  const weights = await weightsOf(one);
  const input = get(one, "x").shape.slice(2) as unknown as Size;
  const after = attrs.strides.slice(1).map((_, i) => `stage${i + 1}`);
  const make = (): MultiExit => {
    const backbone = new PlainCnn(one.attrs as never, input);
    const net = multiExit(backbone, { after, head: "gap-linear", last: "gap-linear" });
    loadTorch(net, weights, { renames: RENAMES });
    return net;
  };
  const net = make();
  const objective = objectiveOf(attrs);
  const everything = (of: Module) => [...of.state().values()];
  const teacher = objective.teacher ? make() : undefined;
  using optimizer = optimizerOf(one.attrs, net.parameters());
  using _flat = optimizer.flat;
  using average = teacher && new EMA(everything(net), { decay: attrs.emaDecay, target: everything(teacher) });
  const exitWeights = tensor(Float32Array.from(exitWeightsAt(objective, net.exits)));
  const history: CaseTensors[] = [];
  for (let t = 0; t < attrs.steps; t++) {
    using __ = openScope();
    const [x, labels] = [stepInput(one, "x", t), stepInput(one, "labels", t)];
    const answers = teacher && noGrad(() => teacher.forward(x, EVAL));
    const taught = answers && net.lastOf(answers);
    const logits = net.forward(x, TRAIN);
    const batch = { logits, labels, exitWeights, teacher: answers };
    const loss = lossOf(objective, batch);
    const exitLosses = noGrad(() => lossPerExit(objective, batch));
    optimizer.lr = one.tensors["in.lr"]?.data[t] ?? optimizer.lr;
    optimizer.zeroGrad();
    backward(loss);
    optimizer.step();
    average?.update();
    const seen = { "out.loss": loss, "out.exitLoss": exitLosses, "out.logits": logits };
    history.push(await toHost(taught ? { ...seen, "out.teacherLogits": taught } : seen));
  }
  return {
    ...overSteps(history),
    ...inTorch("out.param.", await toHost(Object.fromEntries(net.namedParameters())), toCase),
    ...inTorch("out.buffer.", await toHost(Object.fromEntries(net.namedBuffers())), toCase),
    ...(teacher && inTorch("out.teacher.", await toHost(Object.fromEntries(teacher.state())), toCase)),
    ...(await noGradHost(() => ({ "out.evalLogits": net.forward(toDevice(get(one, "evalX")), EVAL) }))),
  };
};
