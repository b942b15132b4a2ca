// Runs the ONNX stages of a cascade (cascade.json and what it names) by onnxruntime-node or onnxruntime-web: each stage
// on the images that are still undecided. Needs nothing but this file:
//
//   const about = await (await fetch("cascade.json")).json();
//   const models = about.stages.map(({ file }) => file); // addresses or paths, or the bytes of the files
//   const { classes, exits } = await (await openCascade(ort, about, models)).classify(pixels);

/** What of onnxruntime is used; both packages have it. */
export interface Runtime {
  readonly InferenceSession: { create(model: never, options?: never): Promise<Session> };
  readonly Tensor: new (type: "float32", data: Float32Array, dims: readonly number[]) => unknown;
}

/** An opened model of it. */
export interface Session {
  run(feeds: never): Promise<unknown>;
  release?(): Promise<void>;
}

interface Values {
  readonly data: Float32Array;
  readonly dims: readonly number[];
}

/** What a stage gives; the last one no features. */
interface Outputs {
  readonly logits: Values;
  readonly features?: Values;
}

/** How sure an exit is of its answer. */
export type CascadeScore = "maxProb" | "margin" | "entropy" | "normalisedEntropy" | "energy" | "maxLogit";

/** cascade.json. */
export interface CascadeAbout {
  readonly format: "sortie-cascade";
  readonly version: 1;
  /** An image as the first stage takes it, [C, H, W]: (byte / 255 - mean) / std. */
  readonly input: {
    readonly shape: readonly number[];
    readonly mean: readonly number[];
    readonly std: readonly number[];
  };
  readonly classes: readonly string[];
  readonly score: CascadeScore;
  /** How far logits may be off, as a share of the largest: an image that near a level stays. Default 0. */
  readonly slack?: number;
  readonly stages: readonly {
    readonly file: string;
    /** The stage of the network that the exit follows. */
    readonly exit: string;
    /** Multiply-accumulates of an image that leaves here. */
    readonly macs: number;
    readonly temperature: number;
    /** Levels from which on an image leaves, one or one for each predicted class; none: all leave. */
    readonly thresholds: readonly number[];
  }[];
  /** What is promised, in words. */
  readonly guarantee: string;
  /** Digest of the weights. */
  readonly weights: string;
}

/** Answers for some images, [N] each. */
interface CascadeAnswers {
  readonly classes: Int32Array;
  /** From 0. */
  readonly exits: Int32Array;
  readonly scores: Float32Array;
  readonly macs: Float64Array;
}

/** Images one after the other: an array, or whatever gives those of each batch when their turn comes. */
export interface CascadeImages {
  readonly length: number;
  /** From `start` to before `end`, both where an image begins or ends. */
  subarray(start: number, end: number): Uint8Array | Uint8ClampedArray | Float32Array;
}

/** Stages that are ready to run. */
export interface Cascade {
  /**
   * Bytes [N, H, W, C], or floats [N, C, H, W] that are normalised. @throws RangeError for others, for what is not
   * finite, and, with its number as `image`, for an image whose logits are NaN.
   */
  classify(images: CascadeImages, options?: { readonly batch?: number }): Promise<CascadeAnswers>;
  /** Frees the sessions. */
  release(): Promise<void>;
}

/** What an exit says of one row of logits. */
export interface Decision {
  readonly answer: number;
  /** What people are told. */
  readonly score: number;
  /** What thresholds are compared with: it keeps its digits where the score has none left. */
  readonly level: number;
}

/**
 * Decides on one row of logits, in double precision; the level is the least that logits may mean that are so far off.
 */
export function decide(score: CascadeScore, row: ArrayLike<number>, temperature: number, slack = 0): Decision {
  const z = Array.from(row, (logit) => logit / temperature);
  const top = Math.max(...z);
  const answer = z.indexOf(top);
  const others = z.filter((_, i) => i !== answer);
  // A single class has no rival; a closed exit stays closed to it.
  if (others.length === 0) others.push(top - 1e30);
  const second = Math.max(...others);
  const gap = second - top;
  // All but the largest, relative to the second: 1 .. classes - 1, so that no difference to 1 is taken.
  const rest = others.reduce((sum, value) => sum + Math.exp(value - second), 0);
  const off = slack * Math.max(top, -Math.min(...z));
  const share = Math.exp(gap);
  const odds = rest * share;
  const logTotal = Math.log1p(odds);
  switch (score) {
    case "maxProb":
      return { answer, score: 1 / (1 + odds), level: -gap - Math.log(rest) - off };
    case "margin":
      return { answer, score: (1 - share) / (1 + odds), level: logTotal - gap - Math.log(rest + 1) - off };
    case "entropy":
    case "normalisedEntropy": {
      const mass = others.reduce((sum, value) => sum + Math.exp(value - second) * (top - value), 0);
      const perSecond = rest * (odds > 0 ? logTotal / odds : 1) + mass / (1 + odds);
      const unit = score === "entropy" ? 1 : Math.log(Math.max(2, z.length));
      return { answer, score: (-share * perSecond) / unit, level: -gap - Math.log(perSecond) - off };
    }
    case "energy":
      return { answer, score: top + logTotal, level: top + logTotal - off };
    case "maxLogit":
      return { answer, score: top, level: top - off };
  }
}

/**
 * Opens the stages. `models` are what the runtime makes sessions of: paths, addresses or bytes; `options` are the
 * sessions'.
 */
export async function openCascade(
  ort: Runtime,
  about: CascadeAbout,
  models: readonly (string | Uint8Array)[],
  options?: object,
): Promise<Cascade> {
  if (about.format !== "sortie-cascade" || about.version !== 1)
    throw new RangeError(
      `cascade: the file must be a sortie-cascade of version 1; got ${about.format} ${about.version}.`,
    );
  if (models.length !== about.stages.length)
    throw new RangeError(`cascade: there must be ${about.stages.length} models, one a stage; got ${models.length}.`);
  const sessions: Session[] = [];
  const release = async (): Promise<void> => {
    for (const session of sessions.splice(0)) await session.release?.();
  };
  try {
    for (const model of models) sessions.push(await ort.InferenceSession.create(model as never, options as never));
  } catch (error) {
    await release().catch(() => {});
    throw error;
  }
  return {
    async classify(images, { batch = 64 } = {}) {
      if (!Number.isInteger(batch) || batch < 1)
        throw new RangeError(`cascade: batch must be a whole number of at least 1; got ${batch}.`);
      const each = about.input.shape.reduce((n, extent) => n * extent, 1);
      const n = countOf(images, each);
      const found = {
        classes: new Int32Array(n),
        exits: new Int32Array(n),
        scores: new Float32Array(n),
        macs: new Float64Array(n),
      };
      for (let first = 0; first < n; first += batch) {
        const count = Math.min(batch, n - first);
        // Floats take four times the room of bytes: a batch at a time.
        const data = prepare(images.subarray(first * each, (first + count) * each), about.input);
        const rows = { data, dims: [count, ...about.input.shape] };
        await runStages(ort, { about, sessions }, rows, first, found);
      }
      return found;
    },
    release,
  };
}

interface Stages {
  readonly about: CascadeAbout;
  readonly sessions: readonly Session[];
}

/** Takes a batch through the stages; its answers go to `found` from row `first` on. */
async function runStages(
  ort: Runtime,
  { about, sessions }: Stages,
  batch: Values,
  first: number,
  found: CascadeAnswers,
) {
  let rows = batch;
  let left = Array.from({ length: batch.dims[0]! }, (_, i) => first + i);
  for (const [j, { temperature, thresholds, macs }] of about.stages.entries()) {
    const input = new ort.Tensor("float32", rows.data, rows.dims);
    const { logits, features } = (await sessions[j]!.run({ input } as never)) as Outputs;
    const classes = about.classes.length;
    const stays: number[] = [];
    for (const [i, sample] of left.entries()) {
      const { answer, score, level } = decide(
        about.score,
        logits.data.subarray(i * classes, (i + 1) * classes),
        temperature,
        about.slack,
      );
      if (Number.isNaN(level)) {
        const text = `cascade: logits must be numbers; got NaN for image ${sample} (counted from 0).`;
        throw Object.assign(new RangeError(text), { image: sample });
      }
      const threshold = thresholds[thresholds.length > 1 ? answer : 0] ?? Number.NEGATIVE_INFINITY;
      if (level < threshold) stays.push(i);
      else {
        found.classes[sample] = answer;
        found.exits[sample] = j;
        found.scores[sample] = score;
        found.macs[sample] = macs;
      }
    }
    if (stays.length === 0) return;
    rows = taken(features ?? rows, stays);
    left = stays.map((i) => left[i]!);
  }
}

/** Some rows. */
function taken({ data, dims }: Values, rows: readonly number[]): Values {
  const each = data.length / dims[0]!;
  const kept = new Float32Array(rows.length * each);
  for (const [i, row] of rows.entries()) kept.set(data.subarray(row * each, (row + 1) * each), i * each);
  return { data: kept, dims: [rows.length, ...dims.slice(1)] };
}

/** How many images there are, of `each` values. @throws RangeError for what is none */
function countOf(images: CascadeImages, each: number): number {
  if (typeof (images as Partial<CascadeImages> | null | undefined)?.subarray !== "function")
    throw new RangeError(KINDS);
  if (images.length % each === 0) return images.length / each;
  throw new RangeError(`cascade: images must be a multiple of ${each} values; got ${images.length}.`);
}

const KINDS = "cascade: images must be a Uint8Array of bytes or a Float32Array of normalised values.";

/** Images as the first stage takes them, [N, C, H, W]. @throws RangeError for others, and for what is not finite */
export function prepare(
  images: Uint8Array | Uint8ClampedArray | Float32Array,
  input: CascadeAbout["input"],
): Float32Array {
  const [channels = 1, height = 1, width = 1] = input.shape;
  const [plane, each] = [height * width, channels * height * width];
  if (!(images instanceof Uint8Array || images instanceof Uint8ClampedArray || images instanceof Float32Array))
    throw new RangeError(KINDS);
  countOf(images, each);
  if (images instanceof Float32Array) {
    if (images.every(Number.isFinite)) return images;
    throw new RangeError("cascade: pixels must be finite; got NaN or infinity.");
  }
  const values = new Float32Array(images.length);
  for (let at = 0; at < images.length; at += each) {
    for (let i = 0; i < each; i++) {
      const channel = i % channels;
      const value = (images[at + i]! / 255 - input.mean[channel]!) / input.std[channel]!;
      values[at + channel * plane + (i - channel) / channels] = value;
    }
  }
  return values;
}
