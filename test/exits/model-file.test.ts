// Model files: what `load` answers is what `deploy` answers, files of earlier versions go on answering, and no damaged,
// foreign or mismatched file, and no broken transfer, ever becomes a classifier.

import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { create } from "webgpu";
import { type Certified, encodePolicy, type PolicyFile } from "../../calibration/index.ts";
import { devices } from "../../engine/device.ts";
import { createDevice, decodeSafetensors, defaultDevice, type StoredTensor } from "../../engine/index.ts";
import {
  type Architecture,
  buildNetwork,
  deploy,
  encodeModel,
  type LoadedClassifier,
  load,
  ModelError,
  multiExit,
  readModel,
  saveModel,
} from "../../exits/index.ts";
import { encodeSealed } from "../../exits/run/seal.ts";
import { resnet } from "../../nn/index.ts";
import { mulberry } from "../engine/ops/check.ts";
import { adapterSuite, device, gpuSuite } from "../gpu.ts";
import { assert, suite } from "../harness.ts";
import { ARCHITECTURES, modelOf, TEST_SET } from "./models.ts";

const files = fileURLToPath(new URL("./files/", import.meta.url));
const test = gpuSuite("exits: model files", { timeout: 120_000 });
const dir = mkdtempSync(join(tmpdir(), "sortie-model-"));
const path = join(dir, "model.sortie.safetensors");
test.after(() => rmSync(dir, { recursive: true }));

async function refused(body: () => unknown, name: string, message: RegExp): Promise<void> {
  const error = await Promise.resolve()
    .then(body)
    .then(
      () => new Error("nothing was thrown"),
      (thrown: Error) => thrown,
    );
  assert.is(error.name, name, error.stack);
  assert.match(error.message, message);
}

const FAMILIES = Object.keys(ARCHITECTURES) as (keyof typeof ARCHITECTURES)[];
const answersOf = async (classifier: Pick<LoadedClassifier, "classify">) => {
  const { classes, exits, scores, macs } = await classifier.classify(TEST_SET.images);
  return { classes: [...classes], exits: [...exits], scores: [...scores], macs: [...macs] };
};

interface Recorded {
  readonly classes: readonly number[];
  readonly exits: readonly number[];
  readonly scores: readonly number[];
  readonly macs: readonly { readonly stage: string; readonly macs: number }[];
}

/** What the files of version 1 answered when they were written; younger families have none. */
const recorded = (name: string): Recorded | undefined =>
  (JSON.parse(readFileSync(join(files, "model-1.json"), "utf8")) as Record<string, Recorded>)[name];

for (const name of FAMILIES) {
  test(`${name}: a file answers as the network that it was made of, from a path, a URL of a file, bytes, a Blob`, async () => {
    const { net, about } = await modelOf(name);
    using deployed = await deploy(net, about.policy, { normalise: about.normalise });
    const want = await answersOf(deployed);
    assert.is(new Set(want.exits).size, net.exits);
    await saveModel(path, net, about);
    const bytes = readFileSync(path);
    const shared = new Uint8Array(new SharedArrayBuffer(bytes.length));
    shared.set(bytes);
    const address = pathToFileURL(path);
    for (const source of [
      path,
      address,
      address.href,
      shared,
      bytes,
      new Uint8Array(bytes).buffer,
      new Blob([bytes]),
    ]) {
      using loaded = await load(source, { batch: 16 });
      assert.equal(await answersOf(loaded), want);
      const { result, ...rest } = loaded.model.policy!;
      const { ids: _, marks, ...own } = about.policy.result as Certified;
      assert.equal([loaded.model.classes, rest], [about.classes, { scaling: about.policy.scaling }]);
      // Names of samples stay at home; hashes by which they are known again go along.
      const kept = marks?.map(({ named: _, ...each }) => each);
      assert.equal(result, { ...own, ids: undefined, ...(kept && { marks: kept }) });
    }
    net.dispose();
  });

  if (!recorded(name)) continue;
  test(`${name}: a file of version 1 answers for ever as it did`, async () => {
    using loaded = await load(join(files, `model-1-${name}.sortie.safetensors`));
    const { classes, exits, scores, macs } = recorded(name)!;
    const got = await answersOf(loaded);
    assert.equal([got.classes, got.exits], [classes, exits]);
    const apart = Math.max(...got.scores.map((score, i) => Math.abs(score - scores[i]!)));
    assert.ok(apart < 1e-4, `scores are ${apart} apart`);
    assert.equal(loaded.model.exits, macs);
  });
}

test("without a policy, or with one that refuses, nothing leaves early, and the file says so", async () => {
  const { net, about } = await modelOf("resnet");
  const { policy, ...rest } = about;
  const refused = { ok: false, method: "m", n: 1, reason: "too few samples", alpha: 0.1, delta: 0.1 } as const;
  const none = {
    smallestRisk: 1,
    neededSamples: 50,
    guarantee: { kind: "none", promise: "none", assumptions: [] },
    origin: undefined,
  } as const;
  for (const given of [undefined, { result: { ...refused, ...none } }]) {
    using loaded = await load(await encodeModel(net, { ...rest, ...(given && { policy: given }) }));
    assert.equal([...new Set((await answersOf(loaded)).exits)], [2]);
    assert.match(
      loaded.model.guarantee,
      given ? /oo few samples/ : /^There is no policy: every image runs to the last exit/,
    );
  }
  assert.ok(policy.result.ok);
  net.dispose();
});

test("frees the network with the classifier, and leaves nothing behind where it fails", async () => {
  const { net, about } = await modelOf("resnet");
  const bytes = await encodeModel(net, about);
  const other = await withPolicyOf(about.policy, ARCHITECTURES.resnet);
  await device().sync();
  const before = device().memory().buffers;
  const loaded = await load(bytes);
  loaded.dispose();
  loaded.dispose();
  await refused(() => load(other), "CalibrationError", /the policy must be of this network's weights/);
  await refused(() => load(bytes, { batch: 0 }), "ArgumentError", /batch must be a whole number/);
  await device().sync();
  assert.is(device().memory().buffers, before);
  net.dispose();
});

test("what does not fit the network is refused when a file is made, and what is no image when it is used", async () => {
  const { net, about } = await modelOf("resnet");
  const refuses = (part: object, message: RegExp) =>
    refused(() => encodeModel(net, { ...about, ...part }), "ModelError", message);
  await refuses({ classes: ["a", "b"] }, /^encodeModel: class names must be 4, as the network has; got 2\.$/);
  await refuses({ classes: ["a", "b", "c", 4] }, /^encodeModel: classes\[3\] must be a text; got 4\.$/);
  await refuses(
    { normalise: { mean: [0, 0], std: [1, 1] } },
    /mean of channels must be 1, as the network has; got 2\.$/,
  );
  await refuses({ normalise: { mean: [0], std: [0] } }, /std must be above 0; got 0\.$/);
  await refuses({ normalise: null }, /^encodeModel: preprocessing\.mean must be /);
  await refuses(
    { classes: ["a", "b", "a", "c"] },
    /^encodeModel: class names must differ, since answers and labels are told by them; got "a" twice\.$/,
  );
  const made = multiExit(resnet({ depth: 8, classes: 4, input: [8, 8, 1], seed: 1 }), { after: [] });
  await refused(() => encodeModel(made, about), "ArgumentError", /must be made by buildNetwork\(\)/);
  using loaded = await load(await encodeModel(net, about));
  await refused(() => loaded.classify(new Uint8Array(65)), "ArgumentError", /no multiple of 64/);
  await refused(
    () => loaded.classify([1, 2] as never),
    "ArgumentError",
    /must be a Float32Array, a Uint8Array or a tensor/,
  );
  await refused(() => loaded.classify(new Float32Array(64).fill(Number.NaN)), "ArgumentError", /pixels must be finite/);
  net.dispose();
});

test("a policy that load would refuse is refused when a file is made", async () => {
  const { net, about } = await modelOf("resnet");
  const other = buildNetwork(ARCHITECTURES.resnet, { seed: 9 });
  const { result } = about.policy;
  const refuses = (part: object, name: string, message: RegExp) =>
    refused(() => encodeModel(net, { ...about, ...part }), name, message);
  const by = (part: object) => ({ policy: { ...about.policy, result: { ...result, ...part } } });
  await refused(() => encodeModel(other, about), "CalibrationError", /the policy must be of this network's weights/);
  await refuses(by({ score: "patience" }), "ArgumentError", /the score must be one of .*; got patience\./);
  await refuses(
    by({ thresholds: Float64Array.of(1, 2, 3), origin: undefined }),
    "ArgumentError",
    /there must be 1, 2 or 8 thresholds for 2 early exits; got 3\.$/,
  );
  await refuses({ fit: { fit: "bogus" } }, "ArgumentError", /^encodeModel: fit: fit must be one of .*"bogus"/);
  for (const one of [net, other]) one.dispose();
});

test("an architecture says what is wrong with it", async () => {
  const of = (part: object) => () => buildNetwork({ ...ARCHITECTURES.resnet, ...part });
  await refused(
    of({ backbone: "resnett" }),
    "ArgumentError",
    /one of resnet, .*got "resnett"\. Did you mean resnet\?$/,
  );
  refused(
    of({ input: [8, 8] }),
    "ArgumentError",
    /architecture\.input must be \[height, width, channels\]; got \[8, 8\]\.$/,
  );
  await refused(of({ head: "gap" }), "ArgumentError", /architecture\.head must be one of gap-linear, .*; got "gap"\.$/);
  await refused(of({ options: { deep: 8 } }), "ArgumentError", /^buildNetwork: resnet: unknown option "deep"/);
});

/** A file that nobody writes any more: its policy is of other weights. */
async function withPolicyOf(policy: PolicyFile, architecture: Architecture): Promise<Uint8Array> {
  const { about } = await modelOf("resnet");
  const net = buildNetwork(architecture, { seed: 9 });
  const { policy: _, ...rest } = about;
  const { tensors, metadata } = decodeSafetensors(await encodeModel(net, rest));
  net.dispose();
  return encodeSealed([...tensors], { ...metadata, policy: encodePolicy(policy) });
}

const damage = suite("exits: damaged model files");
const whole = () => readFileSync(join(files, "model-1-resnet.sortie.safetensors"));

damage("no mutation of a file gets through, 600 of them", async () => {
  const bytes = whole();
  const random = mulberry(7);
  const below = (n: number) => Math.floor(n * random());
  const header = 8 + Number(bytes.readBigUInt64LE());
  const mutations: readonly ((copy: Buffer) => Uint8Array)[] = [
    (copy) => flip(copy, below(copy.length), below(8)),
    (copy) => flip(copy, below(header), below(8)),
    (copy) => copy.subarray(0, below(copy.length)),
    (copy) => Buffer.concat([copy, copy.subarray(0, 1 + below(64))]),
    (copy) => swapped(copy, header + 4 * below((copy.length - header) / 4 - 8), header),
    (copy) => copy.fill(0, header + below(copy.length - header - 4)),
  ];
  for (let i = 0; i < 600; i++) {
    const mutant = mutations[i % mutations.length]!(Buffer.from(bytes));
    if (bytes.equals(mutant)) continue;
    const found = await readModel(mutant).catch((error: unknown) => error);
    assert.instance(found, ModelError, `mutation ${i} gives ${String(found).slice(0, 80)}`);
  }
});

const flip = (bytes: Buffer, at: number, bit: number): Buffer => {
  bytes[at]! ^= 1 << bit;
  return bytes;
};

/** Two neighbouring values of the body change places. */
function swapped(bytes: Buffer, at: number, header: number): Buffer {
  const from = Math.max(header, at - (at % 4));
  const first = Buffer.from(bytes.subarray(from, from + 4));
  bytes.copyWithin(from, from + 4, from + 8);
  first.copy(bytes, from + 4);
  return bytes;
}

damage("a file that is sealed and yet no model says what it lacks", async () => {
  const { metadata, tensors } = decodeSafetensors(whole());
  const { sha256: _, ...said } = metadata;
  const refuses = async (part: Readonly<Record<string, string | undefined>>, message: RegExp) => {
    const fields = Object.entries({ ...said, ...part }).filter(
      (entry): entry is [string, string] => entry[1] !== undefined,
    );
    const bytes = await encodeSealed([...tensors], Object.fromEntries(fields));
    await refused(() => readModel(bytes), "ModelError", message);
  };
  await refuses({ version: "2" }, /^load: the file must be of a version up to 1; got 2\. A newer sortie reads it\.$/);
  await refuses({ version: undefined }, /up to 1; got none\./);
  await refuses(
    { format: "sortie-checkpoint" },
    /must be a sortie-model; got sortie-checkpoint\. sortie export RUN makes/,
  );
  await refuses({ classes: '["a"]' }, /^load: the file: class names must be 4, as the network has; got 1\.$/);
  await refuses({ classes: undefined }, /classes must be JSON; got nothing\.$/);
  await refuses({ architecture: "{}" }, /architecture\.backbone must be a text; got nothing\.$/);
  await refuses({ policy: '{"format":"sortie-policy","version":3}' }, /decodePolicy: the version must be 2; got 3\./);
  await refused(
    () => readModel(new Uint8Array(64)),
    "ModelError",
    /must be a model file, and whole; it is not: safetensors: /,
  );
  await refused(() => readModel(join(files, "none")), "ModelError", /none must be a readable file; got ENOENT\.$/);
  await refused(
    () => readModel(42 as never),
    "ModelError",
    /^load: the source must be bytes, a path, a Blob or a Response; got 42\.$/,
  );
});

test("a sealed file of other tensors or costs than its record has is refused, its network freed", async () => {
  const { metadata, tensors } = decodeSafetensors(whole());
  const { sha256: _, ...said } = metadata;
  const [name, first] = [...tensors][0]!;
  const values = (first as StoredTensor & { readonly data: Float32Array }).data.slice();
  values[3] = Number.NaN;
  const without = [...tensors].slice(1);
  const refuses = async (parts: readonly (readonly [string, StoredTensor])[], fields: object, message: RegExp) => {
    const bytes = await encodeSealed([...parts], { ...said, ...fields });
    await refused(() => load(bytes), "ModelError", message);
  };
  await refuses(without, {}, /^load: the file must be of the same network; missing: \[.*\], unexpected: \[\]\.$/);
  await refuses(
    [[name, { ...first, data: values } as StoredTensor], ...without],
    {},
    /must hold finite values; .* has NaN at 3\.$/,
  );
  const exits = (JSON.parse(said["exits"]!) as { readonly stage: string }[]).map((exit) => ({ ...exit, macs: 1 }));
  await refuses(
    [...tensors],
    { exits: JSON.stringify(exits) },
    /exits must cost the MACs that the file says; got \d+, .* for 1, 1, 1\./,
  );
});

let server: Server;
const address = (name: string) => `http://127.0.0.1:${(server.address() as AddressInfo).port}/${name}`;

damage.before(async () => {
  const bytes = whole();
  server = createServer(({ url }, response) => {
    if (url === "/model") response.writeHead(200, { "content-length": bytes.length }).end(bytes);
    else if (url === "/page")
      response.writeHead(200, { "content-type": "text/html; charset=utf-8" }).end("<!doctype html>");
    else if (url === "/half") {
      response.writeHead(200, { "content-length": bytes.length }).write(bytes.subarray(0, 9000));
      setTimeout(() => response.destroy(), 50);
    } else if (url === "/short") response.writeHead(200).end(bytes.subarray(0, 9000));
    else response.writeHead(404).end("not here");
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", () => resolve()));
});

damage.after(() => server.close());

damage("comes over the network whole, or not at all", async () => {
  const seen: number[] = [];
  const { record } = await readModel(address("model"), {
    onProgress: ({ loaded, total }) => seen.push(loaded / total!),
  });
  assert.is(record.classes.length, 4);
  assert.is(seen.at(-1), 1);
  assert.equal((await readModel(fetch(address("model")), {})).record, record);
  // Where there is no cache, as here, a file is fetched all the same.
  assert.equal((await readModel(new URL(address("model")), { cache: true })).record, record);
  const refuses = (source: Parameters<typeof readModel>[0], message: RegExp) =>
    refused(() => readModel(source), "ModelError", message);
  await refuses(address("none"), /^load: http:.*\/none must be found; the server says 404 Not Found\.$/);
  await refuses(fetch(address("none")), /must be found; the server says 404 Not Found\.$/);
  await refuses(
    address("page"),
    /\/page must be a model file; got a page of HTML\. Servers answer so for files they lack\.$/,
  );
  await refuses(address("half"), /\/half must arrive whole; it broke off after \d+ bytes: /);
  await refuses(address("short"), /\/short must be a model file, and whole; it is not: .* The file is truncated\.$/);
  await refuses("http://127.0.0.1:1/model", /must be reachable; the fetch says: /);
  await refuses(
    fetch("http://127.0.0.1:1/model"),
    /^load: what is given must be there; its promise says: fetch failed\.$/,
  );
  await refused(() => readModel(path, { cache: true }), "ArgumentError", /only what has an address can be cached/);
});

damage("a page that is refused its caches has its model all the same; one without digests is told why", async () => {
  const put = (name: string, descriptor: PropertyDescriptor) =>
    Object.defineProperty(globalThis, name, { configurable: true, ...descriptor });
  const denied = new Error("The operation is insecure.");
  const before = Object.getOwnPropertyDescriptor(globalThis, "caches");
  const refusing = [
    () => {
      throw denied;
    },
    () => ({ open: () => Promise.reject(denied) }),
    () => ({ open: async () => ({ match: () => Promise.reject(denied), put: () => Promise.reject(denied) }) }),
  ];
  try {
    for (const get of refusing) {
      put("caches", { get });
      assert.is((await readModel(address("model"), { cache: true })).record.classes.length, 4);
    }
    // What is no model is told, too: a copy for the cache that nobody reads is not waited for.
    for (const name of ["page", "none"])
      await refused(() => readModel(address(name), { cache: true }), "ModelError", new RegExp(`/${name} must be`));
  } finally {
    if (before) put("caches", before);
    else Reflect.deleteProperty(globalThis, "caches");
  }
  const own = Object.getOwnPropertyDescriptor(globalThis, "crypto")!;
  try {
    put("crypto", { value: {} });
    await refused(
      () => readModel(join(files, "model-1-resnet.sortie.safetensors")),
      "ModelError",
      /^load: digests need crypto\.subtle, which pages have over https and on localhost; got .*\. Serve the page so\.$/,
    );
  } finally {
    put("crypto", own);
  }
});

const places = adapterSuite("exits: devices of model files", { timeout: 120_000 });

const instance = create([]);

places("runs on a device of the least limits, and refuses there what they do not allow", async () => {
  const adapter = (await instance.requestAdapter())!;
  const gpu = await adapter.requestDevice();
  using given = await createDevice({ device: gpu, instance });
  using loaded = await load(whole(), { device: given, batch: 8 });
  assert.equal((await answersOf(loaded)).exits, recorded("resnet")!.exits);
  using alone = await load(whole(), { device: given, batch: 1 });
  const { exits } = await alone.classify(TEST_SET.images.subarray(0, 10 * 64));
  assert.equal([...exits], recorded("resnet")!.exits.slice(0, 10));
  const message = /a tensor must fit in one binding of the device .*the limit is 134217728\. Use smaller batches/;
  await refused(() => load(whole(), { device: given, batch: 2 ** 26 }), "DeviceError", message);
  gpu.destroy();
});

places("makes a device where there is none, one for all, which goes with the last classifier", async () => {
  devices.delete(device());
  try {
    const [first, second] = [await load(whole()), await load(whole())];
    const made = defaultDevice();
    first.dispose();
    assert.equal((await answersOf(second)).exits, recorded("resnet")!.exits);
    second.dispose();
    assert.is(made.isDisposed, true);
    assert.throws(() => defaultDevice(), /a device must exist/);
    // At once, too.
    const together = await Promise.all([load(whole()), load(whole()), load(whole())]);
    assert.is(devices.size, 1);
    for (const one of together) one.dispose();
    assert.throws(() => defaultDevice(), /a device must exist/);
  } finally {
    devices.add(device());
  }
});
