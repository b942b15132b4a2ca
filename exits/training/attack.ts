// Images changed a little so that the network as it is answers them wrong: projected gradient steps (Madry et al., ICLR
// 2018) on the mean cross-entropy of all exits. What adversarial training learns from.

import { exactly } from "../../base/index.ts";
import {
  ArgumentError,
  add,
  crossEntropy,
  type Generator,
  grad,
  maximum,
  minimum,
  mul,
  rand,
  sign,
  sub,
  type Tensor,
  tensor,
} from "../../engine/functions.ts";
import { EVAL } from "../../nn/index.ts";
import type { Attack } from "../methods/track.ts";
import type { MultiExit } from "../network/multi-exit.ts";
import { stackRecords } from "../network/output.ts";

/** What pixels are, and where the first change is drawn from. */
export interface AttackSite {
  /** Of each channel, for pixels in 0..1. */
  readonly mean: readonly number[];
  readonly std: readonly number[];
  readonly generator: Generator;
}

/** Images [N, H, W, C], normalised, of which no pixel is further than `epsilon` from that of `images`, or no pixel. */
export function attacked(net: MultiExit, images: Tensor, labels: Tensor, attack: Attack, site: AttackSite): Tensor {
  const { epsilon, stepSize, steps } = attack;
  if (net.input[2] !== site.std.length)
    throw new ArgumentError(
      `attack: there must be a deviation for each of ${net.input[2]} channels; got ${site.std.length}.`,
    );
  const perChannel = (of: (mean: number, std: number) => number) =>
    tensor(
      Float32Array.from(site.std, (std, c) => of(site.mean[c]!, std)),
      { device: images.device },
    );
  const [reach, step] = [perChannel((_, std) => epsilon / std), perChannel((_, std) => stepSize / std)];
  const [black, white] = [perChannel((mean, std) => -mean / std), perChannel((mean, std) => (1 - mean) / std)];
  const original = images.detach();
  const [least, most] = [maximum(sub(original, reach), black), minimum(add(original, reach), white)];
  const within = (x: Tensor) => minimum(maximum(x, least), most);
  const loss = (x: Tensor) => {
    // Nothing of the network is trained here: it is asked as it would answer.
    const { logits } = stackRecords(net.records(x, EVAL, { trains: () => false }));
    return crossEntropy(logits, labels);
  };
  const start = sub(mul(rand(images.shape, { generator: site.generator }), 2), 1);
  let x = within(add(original, mul(start, reach)));
  for (let i = 0; i < steps; i++) {
    const [direction] = exactly(grad(loss)(x), 1);
    x = within(add(x.detach(), mul(sign(direction), step)));
  }
  return x.detach();
}
