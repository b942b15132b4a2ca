// Whom a run learns from: averages of the network, a larger network that was trained before, or the network as it was.
// All of them are other tensors than those that are trained: what happens to the student does not change their answers.

import { zip } from "../../base/index.ts";
import {
  ArgumentError,
  copy,
  copyInto,
  type Flat,
  flatten,
  keep,
  noGrad,
  requiresGrad,
  type Tensor,
} from "../../engine/functions.ts";
import { EMA, EVAL, withTensors } from "../../nn/index.ts";
import { TrainingError } from "../errors.ts";
import type { Teacher, TrainingPlan } from "../methods/method.ts";
import type { MultiExit } from "../network/multi-exit.ts";
import { Evaluator } from "./evaluator.ts";
import type { ImageSet } from "./images.ts";
import type { Span } from "./phases.ts";

/** A teacher at work. */
export interface TeacherRun {
  /** Logits of all its exits, [N, K, C], for images; no gradient. */
  logits(images: Tensor): Tensor;
  /** Whether its answers to an image never change while a phase lasts. */
  readonly isFixed: boolean;
  /** What a checkpoint holds of it. */
  readonly state: ReadonlyMap<string, Tensor>;
  /** What a step writes. */
  readonly written: readonly Tensor[];
  /** Before step `t` of the run, on the host. */
  before?(t: number): void;
  /** At the end of a step, in the capture. */
  update?(): void;
  /** When a phase begins. */
  refresh?(): void;
  dispose(): void;
}

/** A copy of all of a network's tensors. */
class NetworkCopy {
  readonly #net: MultiExit;
  readonly #flat: Flat;
  readonly state: ReadonlyMap<string, Tensor>;

  constructor(net: MultiExit) {
    this.#net = net;
    net.flat();
    const copyOf = (tensor: Tensor) => noGrad(() => keep(copy(tensor)));
    const parameters = new Map([...net.namedParameters()].map(([name, p]) => [name, requiresGrad(copyOf(p))] as const));
    const buffers = new Map([...net.namedBuffers()].map(([name, b]) => [name, copyOf(b)] as const));
    this.state = new Map(
      [...net.state().keys()].map((name) => [name, (parameters.get(name) ?? buffers.get(name)) as Tensor] as const),
    );
    this.#flat = flatten([...parameters.values()]);
    keep(this.#flat.state);
    this.targets = [...this.#flat.parts.map(({ values }) => values), ...buffers.values()];
  }

  /** The parameters as few large tensors, and the running statistics. */
  readonly targets: readonly Tensor[];

  logits(images: Tensor): Tensor {
    return noGrad(() => withTensors(this.#net, this.state, () => this.#net.forward(images, EVAL)));
  }

  dispose(): void {
    for (const tensor of this.state.values()) tensor.dispose();
    this.#flat.dispose();
  }
}

/** The most that may be left of the first weights in an average at the end of a run. */
const LEFT = 0.01;

/**
 * What to tell of a teacher whose averages are too slow for the steps that follow it, so that it still holds some of
 * the weights that it began with; nothing of all others.
 */
export function slowness(teacher: Teacher | undefined, spans: readonly Span[]): readonly string[] {
  if (teacher?.kind !== "average") return [];
  const { decay, warmup = false } = teacher;
  const steps = spans.reduce((sum, { phase, steps }) => sum + (phase.isTaught === false ? 0 : steps), 0);
  let left = 1;
  for (let t = 0; t < steps && left > LEFT; t++) left *= warmup ? warmDecay(decay, t) : decay;
  if (left <= LEFT) return [];
  const most = Math.floor(1e4 * LEFT ** (1 / steps)) / 1e4;
  const cure = warmup ? "" : ", or a warm-up of the decay";
  const share = `${(100 * left).toFixed(1)} %`;
  return [
    `the averaged teacher is too slow for ${steps} steps: ${share} of it will still be the first weights. A decay of at most ${most}${cure} mends it.`,
  ];
}

const warmDecay = (decay: number, t: number): number => Math.min(decay, (1 + t) / (10 + t));

/** The tensors that a copy's `targets` follow. */
const sourcesOf = (net: MultiExit): readonly Tensor[] => [
  ...net.flat().parts.map(({ values }) => values),
  ...net.buffers(),
];

function average(net: MultiExit, decay: number, isWarm: boolean): TeacherRun {
  const twin = new NetworkCopy(net);
  const ema = new EMA(sourcesOf(net), { decay, target: twin.targets });
  return {
    logits: (images) => twin.logits(images),
    isFixed: false,
    state: twin.state,
    written: ema.state,
    ...(isWarm && {
      before: (t: number) => {
        ema.decay = warmDecay(decay, t);
      },
    }),
    update: () => ema.update(),
    dispose: () => {
      ema.dispose();
      twin.dispose();
    },
  };
}

function itself(net: MultiExit): TeacherRun {
  const twin = new NetworkCopy(net);
  return {
    logits: (images) => twin.logits(images),
    isFixed: true,
    state: twin.state,
    written: [],
    refresh: () => {
      for (const [target, source] of zip(twin.targets, sourcesOf(net))) copyInto(target, source);
    },
    dispose: () => twin.dispose(),
  };
}

/** Refuses a network that cannot teach another: of other exits, classes or images. @throws ArgumentError */
function checkTeacher(method: string, net: MultiExit, teacher: MultiExit): void {
  if (teacher === net)
    throw new ArgumentError(`train: the teacher of ${method} must be another network; got the one that is trained.`);
  for (const what of ["exits", "classes"] as const) {
    if (teacher[what] === net[what]) continue;
    throw new ArgumentError(
      `train: the teacher of ${method} must have ${net[what]} ${what}, as its student; got ${teacher[what]}.`,
    );
  }
  if (teacher.input.join() !== net.input.join()) {
    throw new ArgumentError(
      `train: the teacher of ${method} must take images [${net.input.join(", ")}], as its student; got [${teacher.input.join(", ")}].`,
    );
  }
}

/** Checks that a network's answers to the first images of a set are numbers. @throws TrainingError */
async function checkAnswers(teacher: MultiExit, set: ImageSet): Promise<void> {
  using evaluator = await Evaluator.record(teacher, set);
  const { shape, images, labels, ids, classes, meta } = set;
  const size = Math.min(set.size, FIRST);
  const logits = await evaluator.logits({ size, shape, images, labels, ids, classes, meta });
  const wrong = logits.find((value) => !Number.isFinite(value));
  if (wrong !== undefined)
    throw new TrainingError(
      `train: the teacher's logits must be finite; got ${wrong}. Train it again, at a lower rate.`,
    );
}

/** Images whose answers are looked at. */
const FIRST = 256;

/**
 * The teacher that a method names, if it names one. @throws ArgumentError for a network that does not fit, or is not
 * wanted, and TrainingError for one whose answers to images of the set are not numbers.
 */
export async function makeTeacher(
  { name, teacher: kind }: TrainingPlan,
  net: MultiExit,
  given: MultiExit | undefined,
  set: ImageSet,
): Promise<TeacherRun | undefined> {
  if (given && kind?.kind !== "network")
    throw new ArgumentError(`train: a teacher must be wanted; ${name} learns from none that is given. Leave it out.`);
  if (!kind) return undefined;
  if (kind.kind === "average") return average(net, kind.decay, kind.warmup ?? false);
  if (kind.kind === "self") return itself(net);
  if (!given)
    throw new ArgumentError(
      `train: ${name} learns from a larger network; got none. Train one with as many exits, and pass it as { teacher }.`,
    );
  checkTeacher(name, net, given);
  await checkAnswers(given, set);
  return {
    logits: (images) => noGrad(() => given.forward(images, EVAL)),
    isFixed: true,
    state: new Map(),
    written: [],
    dispose() {},
  };
}
