// Elements that go from one place to another. Written by `npm run api`.

export { type Axis, MAX_AXES, type MoveUnit, numberedDims, unitOf } from "../shared/items.ts";
export {
  blockTranspose,
  type ConcatSpec,
  type ConcatUniform,
  type CopySpec,
  type CopyUniform,
  concatRows,
  type PlaceSpec,
  type PlaceUniform,
  stridedCopy,
  stridedPlace,
  type TransposeSpec,
  type TransposeUniform,
} from "./move.ts";
export { type CopyLaunch, type CopyProblem, type PlaceProblem, planConcat, planCopy, planPlace } from "./move-plan.ts";
