// Which variants of the engine's kernels a run is trained with: those that its folder names, those measured before its
// first step, or the adapter's defaults. Other variants may sum in another order, so the choice is a part of the run.

import { type Given, option } from "../../base/index.ts";
import {
  backward,
  copy,
  copyInto,
  type Generator,
  keep,
  mul,
  noGrad,
  randn,
  requiresGrad,
  scope,
  sum,
  type Tensor,
} from "../../engine/functions.ts";
import { TRAIN, withTensors } from "../../nn/index.ts";
import type { MultiExit } from "../network/multi-exit.ts";
import { type CheckpointFile, variantsOf } from "../run/checkpoint.ts";
import { deviceOf } from "./evaluator.ts";

/** Options of how variants are chosen. */
export const VARIANT_OPTIONS = {
  tune: option.choice(
    ["off", "once"],
    "once: the kernels' variants are timed on this adapter before the first step, and the fastest are taken",
    { default: undefined },
  ),
} as const;

/** How variants are chosen. */
export type Variants = Given<typeof VARIANT_OPTIONS>;

/** What a run's passes are known by. */
interface Passes {
  readonly net: MultiExit;
  readonly batch: number;
  /** What random layers draw from. */
  readonly generators: readonly Generator[];
}

/**
 * Sets the variants that a run is trained with: a run that is found in its place goes on with its own, whatever is
 * asked.
 * @throws CheckpointError for a file that does not say what its run was; DeviceError if no variant of a kernel runs.
 */
export async function setVariants(
  passes: Passes,
  found: CheckpointFile | undefined,
  { tune = "off" }: Variants,
): Promise<void> {
  const { tuner } = deviceOf(passes.net);
  if (found) await tuner.replace(variantsOf(found));
  else if (tune === "once") await measured(passes);
}

/**
 * Times what a step runs most of: the network forwards and backwards, on copies of its tensors, so that the run begins
 * with what was drawn for it.
 */
async function measured({ net, batch, generators }: Passes): Promise<void> {
  const device = deviceOf(net);
  const parameters = net.namedParameters();
  const copyOf = (tensor: Tensor): Tensor => noGrad(() => keep(copy(tensor)));
  const tensors = new Map(
    [...net.state()].map(([name, tensor]) => {
      const own = copyOf(tensor);
      return [name, parameters.has(name) ? requiresGrad(own) : own] as const;
    }),
  );
  const states = generators.flatMap(({ state }) => state.map((tensor) => [tensor, copyOf(tensor)] as const));
  try {
    await device.tuner.tune(() =>
      scope(() => {
        const images = randn([batch, ...net.input], { seed: 0, device });
        const logits = withTensors(net, tensors, () => net.forward(images, TRAIN));
        backward(sum(mul(logits, logits)));
      }),
    );
  } finally {
    for (const [tensor, drawn] of states) {
      copyInto(tensor, drawn);
      drawn.dispose();
    }
    for (const own of tensors.values()) own.dispose();
  }
}
