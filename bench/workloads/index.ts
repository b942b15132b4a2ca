// The rows of the benchmark, in the order of the report.

import { conv } from "./conv.ts";
import { batchNorm, crossEntropy, layerNorm, matmul, softmax } from "./kernels.ts";
import { infer, train } from "./steps.ts";
import type { ConvShape, Workload } from "./workload.ts";

const convShapes: Readonly<Record<string, ConvShape>> = {
  convA: { n: 32, h: 32, w: 32, c: 16, o: 16, k: 3, stride: 1, pad: 1, groups: 1 },
  convB: { n: 32, h: 16, w: 16, c: 64, o: 64, k: 3, stride: 1, pad: 1, groups: 1 },
  convC: { n: 32, h: 32, w: 32, c: 32, o: 64, k: 3, stride: 2, pad: 1, groups: 1 },
  convD: { n: 32, h: 16, w: 16, c: 64, o: 128, k: 1, stride: 1, pad: 0, groups: 1 },
  depthwise: { n: 32, h: 16, w: 16, c: 64, o: 64, k: 3, stride: 1, pad: 1, groups: 64 },
};

/** All rows. */
export const workloads: readonly Workload[] = [
  matmul("matmul256", 1, 256, 256, 256),
  matmul("matmul512", 1, 512, 512, 512),
  matmul("matmul1024", 1, 1024, 1024, 1024),
  matmul("matmulTall", 1, 12544, 576, 64),
  matmul("bmm64", 32, 64, 64, 32),
  matmul("bmm64.k32", 32, 64, 32, 64),
  matmul("bmm197", 32, 197, 197, 64),
  matmul("bmm197.k64", 32, 197, 64, 197),
  ...Object.entries(convShapes).flatMap(([name, shape]) =>
    (["fwd", "dx", "dw"] as const).map((pass) => conv(name, pass, shape)),
  ),
  softmax("softmax", 4096, 1000),
  layerNorm("layerNorm", 8192, 192),
  batchNorm("batchNorm.fb", 32, 16, 16, 64),
  crossEntropy("crossEntropy.fb", 4096, 1000),
  train("train.cnn", "cnn", 64),
  train("train.resnet20", "resnet20", 32),
  train("train.vit", "vit", 32),
  infer("infer.resnet20.b1", "resnet20", 1),
  infer("infer.resnet20.b64", "resnet20", 64),
];
