// The guides, in the order in which the site lists them.

/** A page with its own text in `site/guides`. */
export interface Guide {
  /** Address in the site, without its beginning slash; the file is this with `.md`. */
  readonly page: string;
  readonly title: string;
  /** What the list of guides says of it. */
  readonly about: string;
}

const guide = (name: string, title: string, about: string): Guide => ({ page: `guides/${name}`, title, about });

export const GUIDES: readonly Guide[] = [
  guide(
    "own-pictures",
    "Own pictures to a certified classifier in a page",
    "A folder of JPEG files, three commands, one file, one page.",
  ),
  guide("guarantees", "What the guarantees mean", "Thresholds with a promise, in pictures; nothing is assumed known."),
  guide(
    "pytorch-logits",
    "Calibrate PyTorch logits",
    "From a network's saved answers to thresholds with a promise, and how Python uses them.",
  ),
  guide(
    "torchvision",
    "From a torchvision checkpoint to a cascade",
    "Early exits on a network that is there, trained on your own pictures.",
  ),
  guide(
    "compare",
    "Compare methods",
    "Ways to train against each other, on one machine or many, and how to read what comes of it.",
  ),
  guide("ops", "Write an op and a kernel", "Own arithmetic with gradients, from one line to hand-written WGSL."),
  guide("memory", "Memory", "Who frees what, and how to see what is held."),
];
