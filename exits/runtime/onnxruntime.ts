// The package that runs stages without a GPU: onnxruntime, which is no dependency of this one. It is given, or found
// beside it.

import { isNode } from "../../base/index.ts";
import { ArgumentError, DeviceError } from "../../engine/functions.ts";
import type { Runtime as OnnxRuntime } from "../../onnx/index.ts";

/** Where an unthreaded onnxruntime-web is told so. */
interface Threads {
  readonly env?: { readonly wasm?: { numThreads?: number | undefined } };
}

const WEB = "onnxruntime-web";

/** A variable keeps bundlers from looking for a package that need not be there. */
const importByName = (name: string): Promise<OnnxRuntime> =>
  import(/* webpackIgnore: true */ /* turbopackIgnore: true */ /* @vite-ignore */ name);

/** onnxruntime as it is given, by a function too, or from the packages at hand. @throws DeviceError without any. */
export async function findRuntime(
  given?: OnnxRuntime | (() => Promise<OnnxRuntime>),
  importing = importByName,
): Promise<OnnxRuntime> {
  if (given !== undefined) return checked(typeof given === "function" ? await given() : given);
  const names = isNode() ? ["onnxruntime-node", WEB] : [WEB];
  let cause: unknown;
  for (const name of names) {
    try {
      return single(runtimeOf(await importing(name)), name);
    } catch (error) {
      cause = error;
    }
  }
  const how = isNode()
    ? `Run \`npm install ${WEB}\` (or ${names[0]}).`
    : `Pass { onnxruntime: () => import("${WEB}/wasm") }, or name it in an import map.`;
  throw new DeviceError(`load: runtime wasm needs the package ${WEB}; it did not load. ${how}`, { cause });
}

/** CommonJS modules have it all under `default`. */
const runtimeOf = (module: OnnxRuntime & { readonly default?: OnnxRuntime }): OnnxRuntime =>
  module.InferenceSession ? module : (module.default ?? module);

function checked(given: OnnxRuntime): OnnxRuntime {
  const found = runtimeOf(given);
  if (typeof found?.InferenceSession?.create === "function" && typeof found.Tensor === "function") return found;
  throw new ArgumentError(
    `load: onnxruntime must be the module ${WEB}, or a function that imports it; got one without InferenceSession and Tensor.`,
  );
}

/** In Node a pool of threads would keep the process alive, and small networks gain nothing by one. */
function single(runtime: OnnxRuntime & Threads, name: string): OnnxRuntime {
  const wasm = name === WEB && isNode() ? runtime.env?.wasm : undefined;
  if (wasm) wasm.numThreads ||= 1;
  return runtime;
}
