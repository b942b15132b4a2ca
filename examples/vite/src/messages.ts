// What the page asks of the worker, and what it is told meanwhile.

export interface Trained {
  readonly classes: readonly string[];
  readonly seconds: number;
  /** Of each exit on test images. */
  readonly accuracy: readonly number[];
}

export interface Calibrated {
  readonly isSafe: boolean;
  readonly promise: string;
  /** What becomes of test images, exit by exit; none where nothing is safe. */
  readonly exits: readonly { readonly share: number; readonly error: number }[];
  /** The share of the whole network's work that is done. */
  readonly cost: number;
  readonly file: Blob;
  /** Test images that the file, opened again, answers as the network does: class and exit. */
  readonly same: number;
  readonly of: number;
}

export interface Opened {
  readonly classes: readonly string[];
  readonly promise: string;
}

export interface Answered {
  readonly name: string;
  readonly exit: number;
  readonly exits: number;
  readonly score: number;
  readonly cost: number;
}

/** Every question with what is given, and the answer. */
export interface Questions {
  train(given: { readonly pictures: number; readonly epochs: number }): Trained;
  calibrate(given: { readonly risk: number }): Calibrated;
  open(given: Blob): Opened;
  classify(given: ImageBitmap): Answered;
}
export type Name = keyof Questions;
export type Given<N extends Name> = Parameters<Questions[N]>[0];
export type Answer<N extends Name> = ReturnType<Questions[N]>;

/** How far a training is, and how often each exit was right in the last batches. */
export interface Progress {
  readonly step: number;
  readonly steps: number;
  readonly accuracy: readonly number[];
}

export interface Question {
  readonly id: number;
  readonly name: Name;
  readonly given: unknown;
}

export type FromWorker =
  | { readonly progress: Progress }
  | { readonly id: number; readonly answer: unknown }
  | { readonly id: number; readonly error: string };
