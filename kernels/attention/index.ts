// Attention without the score matrix in memory, forwards and backwards. Written by `npm run api`.

export {
  type AttentionCase,
  attentionCandidates,
  attentionDims,
  attentionForward,
  packedAttentionDims,
} from "./attention.ts";
export { type AttentionBackwardSpec, attentionBackwardKey, attentionBackwardQuery } from "./attention-grad.ts";
export type { AttentionDims, AttentionSpec } from "./tile.ts";
