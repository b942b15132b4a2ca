// What the page and its worker say to each other: questions with one answer each, and what the worker tells unasked.
// The page shows, the worker computes; neither knows more of the other than this.

/** Where training images come from. */
export type ImageSource = "glyphs" | "drawn" | "pictures";

/** What a training is: all that is asked for before it starts. */
export interface Settings {
  readonly images: ImageSource;
  /** Of glyphs: how many to train on. */
  readonly samples: number;
  /** One of `Choices.backbones`. */
  readonly backbone: string;
  /** Stages that early exits follow. */
  readonly exits: readonly string[];
  /** One of `Choices.methods`. */
  readonly method: string;
  readonly epochs: number;
  readonly seed: number;
}

/** Something to choose from. */
export interface Choice {
  readonly name: string;
  readonly title: string;
  readonly about: string;
}

/** What can be chosen. */
export interface Choices {
  readonly backbones: readonly (Choice & { readonly stages: readonly string[] })[];
  readonly methods: readonly Choice[];
}

/** A class of one's own: its pictures are bytes [H, W, C] of the set's shape. */
export interface OwnClass {
  readonly name: string;
  readonly pictures: readonly Uint8Array[];
}

/** Classes of one's own. */
export interface OwnSet {
  readonly shape: readonly [height: number, width: number, channels: number];
  readonly classes: readonly OwnClass[];
}

/** Pictures that a class of one's own must have: with fewer some part of the set would have none of it. */
export const FEWEST = 8;

/** Where a training stands that is kept in this browser. */
export type Standing = "running" | "paused" | "done";

/** A point of the curves. */
export interface Point {
  readonly kind: "train" | "evaluation";
  readonly step: number;
  readonly loss: number;
  /** Share of right answers at each exit. */
  readonly accuracy: readonly number[];
}

/** A training that is kept in this browser. */
export interface Kept {
  readonly settings: Settings;
  /** Digest of its pictures; empty where they are drawn by code. */
  readonly content?: string;
  readonly standing: Standing;
  readonly step: number;
  readonly steps: number;
  readonly points: readonly Point[];
}

/** A classifier that there is to run. */
export interface Subject {
  readonly name: string;
  readonly classes: readonly string[];
  /** [H, W, C] */
  readonly input: readonly [number, number, number];
  readonly exits: readonly { readonly stage: string; readonly macs: number }[];
  /** What is promised of it, or that nothing is. */
  readonly guarantee: string;
  /** Whether there are cached logits to calibrate on, and how many samples of them. */
  readonly calibration: number;
  /** Test images to show. */
  readonly test: number;
}

/** What a slider asks for. */
export interface Levels {
  readonly alpha: number;
  readonly delta: number;
}

/** What calibration answers. */
export interface Calibrated extends Levels {
  readonly isSafe: boolean;
  /** The promise in words, or why there is none. */
  readonly words: string;
  /** Of each early exit; infinite where nobody may leave. */
  readonly thresholds: readonly number[];
  /** What it does on the test images, which had no part in it. */
  readonly tested: {
    readonly accuracy: number;
    /** Of the whole network. */
    readonly wholeAccuracy: number;
    /** Multiply-accumulates, as a share of the whole network's. */
    readonly cost: number;
    /** Share of images that leave at each exit, and error rate among them. */
    readonly exits: readonly { readonly share: number; readonly error: number }[];
  };
}

/** What is asked about a picture, or about several. */
export type Picture = Blob | ImageData | ImageBitmap;

/** An answer for one picture. */
export interface Answered {
  readonly label: string;
  readonly exit: number;
  readonly stage: string;
  readonly score: number;
  /** Multiply-accumulates, as a share of the whole network's. */
  readonly cost: number;
}

/** Answers, and what they took. */
export interface Ran {
  readonly answers: readonly Answered[];
  /** Milliseconds of the pictures together, through the exits. */
  readonly ms: number;
  /** The same without leaving. */
  readonly wholeMs: number;
}

/** Test images, answered. */
export interface Grid {
  /** All images, side by side in rows. */
  readonly sheet: ImageBitmap;
  readonly columns: number;
  readonly labels: readonly number[];
  readonly answers: readonly number[];
  readonly exits: readonly number[];
  readonly ms: number;
  readonly wholeMs: number;
  readonly cost: number;
}

/** What can be taken home. */
export type TakeHome = "model" | "onnx" | "page";

/** A file to save. */
export interface SavedFile {
  readonly name: string;
  readonly type: string;
  readonly bytes: Uint8Array<ArrayBuffer>;
}

/** What the page may ask, by name: a function of what it gives to what it gets. */
interface Asks {
  /** Opens the device; what there is to choose, and what was kept. */
  open(): { readonly adapter: string; readonly choices: Choices; readonly kept: Kept | undefined };
  /** Keeps classes of one's own for the next training. */
  keepClasses(given: { readonly images: ImageSource; readonly set: OwnSet }): undefined;
  /** The classes of one's own that are kept. */
  classes(images: ImageSource): OwnSet | undefined;
  /** Bytes of the set's shape, of pictures of any size. */
  prepare(given: { readonly pictures: readonly Picture[]; readonly shape: OwnSet["shape"] }): readonly Uint8Array[];
  /** Trains, or goes on where a training of these settings was left; nothing is returned if it was paused. */
  train(settings: Settings): Subject | undefined;
  /** Stops the training after the step at hand. */
  pause(): undefined;
  /** Forgets what is kept. */
  forget(): undefined;
  calibrate(levels: Levels): Calibrated;
  run(pictures: readonly Picture[]): Ran;
  grid(): Grid;
  takeHome(what: TakeHome): SavedFile;
  /** Opens a model file. */
  load(given: { readonly name: string; readonly file: Blob }): Subject;
  /** Opens a model that ships with the lab. */
  shipped(name: string): Subject;
}

export type AskName = keyof Asks;
/** What a question gives; nothing for some. */
export type Given<Name extends AskName> = Parameters<Asks[Name]>[0];
export type Answer<Name extends AskName> = ReturnType<Asks[Name]>;

/** A question on its way. */
export interface Question {
  readonly id: number;
  readonly ask: AskName;
  readonly given: unknown;
}

/** What the worker tells unasked. */
export type Told =
  | { readonly tell: "step"; readonly step: number; readonly steps: number; readonly secondsLeft: number }
  | { readonly tell: "point"; readonly point: Point }
  | { readonly tell: "begun"; readonly step: number; readonly steps: number }
  | { readonly tell: "lost"; readonly why: string }
  | { readonly tell: "recovered"; readonly adapter: string };

/** What comes from the worker. */
export type FromWorker =
  | Told
  | { readonly id: number; readonly answer: unknown }
  | { readonly id: number; readonly error: { readonly name: string; readonly message: string } };
