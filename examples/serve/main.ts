// Serves a model file over HTTP: `node --import tsx examples/serve/main.ts model.sortie.safetensors --port 8080`.
// SIGTERM or SIGINT: what was taken is answered, then it ends.

import { parseArgs } from "node:util";
import { load } from "../../exits/index.ts";
import { buildServer } from "./server.ts";

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    host: { type: "string", default: "127.0.0.1" },
    port: { type: "string", default: "8080" },
    batch: { type: "string", default: "64" },
    "deadline-ms": { type: "string", default: "5" },
    queue: { type: "string", default: "1024" },
    "max-bytes": { type: "string", default: "8388608" },
    "max-pixels": { type: "string", default: "16777216" },
    labels: { type: "string", default: "100000" },
    runtime: { type: "string", default: "webgpu" },
  },
});

/** @throws Error that names the flag */
function count(name: Exclude<keyof typeof values, "host" | "runtime">, least: number): number {
  const value = Number(values[name]);
  if (Number.isInteger(value) && value >= least) return value;
  throw new Error(`serve: --${name} must be a whole number of at least ${least}; got ${values[name]}.`);
}

async function serve(): Promise<void> {
  const [file, ...others] = positionals;
  if (file === undefined || others.length > 0)
    throw new Error(`serve: one model file must be given; got ${positionals.length}.`);
  const batch = count("batch", 1);
  let answered = 0;
  const options = {
    onAnswered: (status: number) => {
      if (status === 200) answered += 1;
    },
    ...{ batch, deadline: count("deadline-ms", 0), queue: count("queue", 1) },
    ...{ maxBytes: count("max-bytes", 1), maxPixels: count("max-pixels", 1), labels: count("labels", 0) },
  };
  const port = count("port", 0);
  // What is no runtime is refused by `load`.
  const classifier = await load(file, { batch, runtime: values.runtime as "webgpu" | "wasm" | "auto" });
  const app = await buildServer(classifier, options);
  console.log(`listening on ${await app.listen({ host: values.host, port })}`);
  console.log(classifier.model.guarantee);
  const end = (): void => {
    app.close().then(
      () => console.log(`all that was taken has been answered: ${answered} requests`),
      (error: unknown) => {
        console.error(error);
        process.exitCode = 1;
      },
    );
  };
  process.once("SIGTERM", end);
  process.once("SIGINT", end);
}

serve().catch((error: unknown) => {
  console.error(error instanceof Error ? error.message : error);
  process.exitCode = 1;
});
