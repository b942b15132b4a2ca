// What a phase does on the host, between steps: draws parts anew, prepares numbers, fits values. Only some methods do.

import { ArgumentError, type Tensor } from "../../engine/functions.ts";
import type { Fits, Part, Phase, SoFar } from "../methods/method.ts";
import { toTable } from "../run/logits.ts";
import { deviceOf } from "./evaluator.ts";
import { maker } from "./phase-checks.ts";
import type { PhaseParts } from "./phase-parts.ts";

const floatsOf = async (tensor: Tensor): Promise<Float32Array> => Float32Array.from(await tensor.read(), Number);

/** The network as it is. */
const soFarOf = ({ net, data, evaluator }: PhaseParts): SoFar => ({
  async logits(split) {
    const set = data[split];
    const answers = await (await evaluator()).answers(set);
    const { labels, ids, size } = set;
    return toTable({ shape: [size, net.exits, net.classes], ...answers, labels, ids, macs: net.macs() });
  },
});

/**
 * Gives a part other values: those of a network that the run's seed and one makes. @throws ArgumentError for a network
 * that cannot be made again.
 */
export async function drawAnew({ net, span, options }: PhaseParts, part: Part): Promise<void> {
  const fresh = maker(net, span.phase)({ seed: (options.seed ?? 0) + 1, device: deviceOf(net) });
  const drawn = fresh.namedParameters();
  for (const [of, parameter] of net.namedParameters()) {
    const start = part(of) ? drawn.get(of) : undefined;
    if (start) parameter.write(await start.read());
  }
  fresh.dispose();
}

/** What a phase prepares, by name. @throws ArgumentError for numbers that are not finite. */
export async function prepared(parts: PhaseParts, prepare: NonNullable<Phase["prepare"]>) {
  const numbers = Object.entries(await prepare(soFarOf(parts)));
  const wrong = numbers.find(([, { data }]) => !data.every(Number.isFinite));
  if (wrong)
    throw new ArgumentError(`train: what ${parts.span.phase.name} prepares must be finite; got another ${wrong[0]}.`);
  return numbers;
}

/** Puts into the network what a phase fits behind its last step. @throws ArgumentError for values that do not fit. */
export async function fit(parts: PhaseParts, { part, values: fitted }: Fits): Promise<void> {
  const named = new Map([...parts.net.namedParameters()].filter(([name]) => part(name)));
  const held = [...named].map(async ([name, parameter]) => [name, await floatsOf(parameter)] as const);
  for (const [name, values] of Object.entries(await fitted(soFarOf(parts), new Map(await Promise.all(held))))) {
    const parameter = named.get(name);
    if (parameter?.size !== values.length || !values.every(Number.isFinite)) {
      const wanted = parameter ? `${parameter.size} finite numbers` : "a parameter of its part";
      throw new ArgumentError(
        `train: what ${parts.span.phase.name} fits must be ${wanted}; got ${name} of ${values.length}.`,
      );
    }
    parameter.write(values);
  }
}
