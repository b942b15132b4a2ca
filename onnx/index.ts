// Multi-exit networks as ONNX, and what runs them by onnxruntime. No entry of the package.

export {
  type Cascade,
  type CascadeAbout,
  type CascadeImages,
  type CascadeScore,
  decide,
  openCascade,
  prepare,
  type Runtime,
  type Session,
} from "./cascade.ts";
export { type OnnxFiles, onnxOf, onnxStages } from "./network.ts";
