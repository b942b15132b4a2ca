// The runners of an ONNX export, as somebody would use them who has only its folder: onnxruntime-web in Node, Python,
// and Triton's Python backend, played by a module that answers its requests by onnxruntime.

import { spawnSync } from "node:child_process";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import * as ort from "onnxruntime-web";
import { encodeNpy, openNpz } from "../../data/formats/npy.ts";
import { type CascadeAbout, openCascade, prepare, type Runtime } from "../../onnx/index.ts";
import { PYTHON } from "../python.ts";

// One thread: a pool of workers would keep the process alive.
ort.env.wasm.numThreads = 1;
ort.env.logLevel = "error";

/** The runtime of these tests. */
export const runtime = ort as unknown as Runtime;

/** What every runner answers. */
export interface Answers {
  readonly classes: ArrayLike<number>;
  readonly exits: ArrayLike<number>;
  readonly scores: ArrayLike<number>;
}

/** Images as bytes, [N, H, W, C]. */
export interface Pixels {
  readonly images: Uint8Array;
  readonly shape: readonly [number, number, number];
  readonly size: number;
}

/** cascade.ts in this process. */
export async function byTypeScript(folder: string, { images }: Pixels): Promise<Answers> {
  const about = JSON.parse(readFileSync(join(folder, "cascade.json"), "utf8")) as CascadeAbout;
  const models = about.stages.map(({ file }) => new Uint8Array(readFileSync(join(folder, file))));
  const cascade = await openCascade(runtime, about, models);
  return cascade.classify(images);
}

/** The logits of a graph with all exits, [N, K, C], in batches. */
export async function logitsOf(
  model: Uint8Array,
  folder: string,
  { images, shape, size }: Pixels,
): Promise<Float32Array> {
  const { input } = JSON.parse(readFileSync(join(folder, "cascade.json"), "utf8")) as CascadeAbout;
  const session = await runtime.InferenceSession.create(model as never);
  const each = shape.reduce((n, extent) => n * extent, 1);
  const parts: Float32Array[] = [];
  for (let first = 0; first < size; first += 256) {
    const count = Math.min(256, size - first);
    const bytes = images.subarray(first * each, (first + count) * each);
    const tensor = new runtime.Tensor("float32", prepare(bytes, input), [count, ...input.shape]);
    const outputs = (await session.run({ input: tensor } as never)) as {
      readonly logits: { readonly data: Float32Array };
    };
    parts.push(outputs.logits.data);
  }
  const all = new Float32Array(parts.reduce((sum, { length }) => sum + length, 0));
  parts.reduce((at, part) => {
    all.set(part, at);
    return at + part.length;
  }, 0);
  return all;
}

/** What a script prints that has numpy, the runners' folder in its path and their functions. */
export function pythonSays(script: string): string {
  const folder = fileURLToPath(new URL("../../cli/onnx/runners", import.meta.url));
  const head = `import sys\nsys.dont_write_bytecode = True\nsys.path.insert(0, ${JSON.stringify(folder)})\n`;
  const imports = "import numpy as np\nfrom cascade import run_stages\n";
  const { status, stdout, stderr } = spawnSync(PYTHON, ["-c", `${head}${imports}${script}`], { encoding: "utf8" });
  if (status !== 0) throw new Error(`${PYTHON}: ${stderr}`);
  return stdout.trim();
}

function python(script: string, args: readonly string[], { images, shape, size }: Pixels, work: string): Answers {
  const [pixels, answers] = [join(work, "images.npy"), join(work, "answers.npz")];
  writeFileSync(pixels, encodeNpy({ shape: [size, ...shape], data: images }));
  const { status, stderr } = spawnSync(PYTHON, [script, ...args, pixels, answers], { encoding: "utf8" });
  if (status !== 0) throw new Error(`${PYTHON} ${script}: ${stderr}`);
  const found = openNpz(readFileSync(answers), answers);
  const values = (name: keyof Answers) => Array.from(found.get(name).data, Number);
  return { classes: values("classes"), exits: values("exits"), scores: values("scores") };
}

/** cascade.py; `work` is a folder for images and answers. */
export const byPython = (folder: string, pixels: Pixels, work: string): Answers =>
  python(join(folder, "cascade.py"), [folder], pixels, work);

/** The model repository, its requests answered by onnxruntime. */
export function byTriton(folder: string, pixels: Pixels, work: string): Answers {
  mkdirSync(work, { recursive: true });
  writeFileSync(join(work, "triton_python_backend_utils.py"), BACKEND);
  writeFileSync(join(work, "serve.py"), SERVE);
  return python(join(work, "serve.py"), [join(folder, "triton")], pixels, work);
}

/**
 * What of Triton's module is used, over the models of a repository; no stage may be given more rows than its config
 * allows.
 */
const BACKEND = `
import os, re
import numpy as np
import onnxruntime

repository = None
sessions = {}

class Tensor:
    def __init__(self, name, values):
        self.name, self.values = name, values
    def as_numpy(self):
        return self.values
    def is_cpu(self):
        return True

class TritonError:
    def __init__(self, text):
        self.text = text
    def message(self):
        return self.text

class InferenceResponse:
    def __init__(self, output_tensors, error=None):
        self.tensors, self.fault = output_tensors, error
    def has_error(self):
        return self.fault is not None
    def error(self):
        return self.fault

class InferenceRequest:
    def __init__(self, model_name=None, requested_output_names=(), inputs=()):
        self.model, self.names, self.inputs = model_name, requested_output_names, inputs
    def exec(self):
        place = os.path.join(repository, self.model)
        config = open(os.path.join(place, "config.pbtxt")).read()
        most = int(re.search(r"max_batch_size: (\\d+)", config).group(1))
        if self.model not in sessions:
            path = os.path.join(place, "1", "model.onnx")
            sessions[self.model] = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
        feeds = {tensor.name: tensor.values for tensor in self.inputs}
        if len(feeds["input"]) > most:
            return InferenceResponse([], TritonError(f"{len(feeds['input'])} rows for {most}"))
        found = sessions[self.model].run(list(self.names), feeds)
        return InferenceResponse([Tensor(name, values) for name, values in zip(self.names, found)])

def get_input_tensor_by_name(request, name):
    return next(tensor for tensor in request.inputs if tensor.name == name)

def get_output_tensor_by_name(response, name):
    return next(tensor for tensor in response.tensors if tensor.name == name)
`;

const SERVE = `
import importlib.util, os, sys
import numpy as np
import triton_python_backend_utils as backend

backend.repository, images, answers = sys.argv[1:]
path = os.path.join(backend.repository, "cascade", "1", "model.py")
spec = importlib.util.spec_from_file_location("model", path)
module = importlib.util.module_from_spec(spec)
spec.loader.exec_module(module)
model = module.TritonPythonModel()
model.initialize({})
request = backend.InferenceRequest(inputs=[backend.Tensor("IMAGES", np.load(images))])
response = model.execute([request])[0]
assert not response.has_error(), response.error().message()
found = {tensor.name.lower(): tensor.values for tensor in response.tensors}
bad = backend.InferenceRequest(inputs=[backend.Tensor("IMAGES", np.zeros((1, 2, 2, 1), np.uint8))])
assert "bytes must be [N, " in model.execute([bad])[0].error().message()
np.savez(answers, **found)
`;
