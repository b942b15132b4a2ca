// What can be chosen for a training: networks that a browser trains in minutes, and methods for them.

import { type Architecture, METHODS } from "../../../exits/index.ts";
import type { Choices } from "../protocol.ts";

/** A network to choose. */
interface Backbone extends Pick<Architecture, "backbone" | "options"> {
  readonly title: string;
  readonly about: string;
  readonly stages: readonly string[];
}

const STAGES = ["stage1", "stage2"] as const;
const resnet = (depth: number, widths: readonly number[]) => ({ backbone: "resnet", options: { depth, widths } });

export const BACKBONES: Readonly<Record<string, Backbone>> = {
  tiny: { ...resnet(8, [4, 8, 16]), title: "Tiny", about: "ResNet-8, widths 4, 8, 16", stages: STAGES },
  small: { ...resnet(8, [8, 16, 32]), title: "Small", about: "ResNet-8, widths 8, 16, 32", stages: STAGES },
  larger: { ...resnet(20, [16, 32, 64]), title: "Larger", about: "ResNet-20, widths 16, 32, 64", stages: STAGES },
};

/** Methods by name, with what they are called here. */
const TITLES: Readonly<Record<string, string>> = {
  joint: "All exits together",
  "soft-cgt": "Confidence-gated",
  "layer-wise": "One exit after another",
  "distil-last": "Early exits learn from the last",
  branchynet: "BranchyNet",
};

export const choices = (): Choices => ({
  backbones: Object.entries(BACKBONES).map(([name, { title, about, stages }]) => ({ name, title, about, stages })),
  methods: Object.entries(TITLES).map(([name, title]) => ({ name, title, about: METHODS[name]?.about ?? "" })),
});
