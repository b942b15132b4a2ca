// Losses on class scores. Written by `npm run api`.

export {
  type CrossEntropyBackwardSpec,
  type CrossEntropySpec,
  crossEntropyBackward,
  crossEntropyCandidates,
  crossEntropyForward,
} from "./cross-entropy.ts";
export { type NllBackwardSpec, type NllSpec, nllBackward, nllForward } from "./nll.ts";
