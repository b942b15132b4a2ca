// Lots from a source, for classifiers on which none waits for others.

import { type Answers, type ClassifyOptions, readStream, type StreamOptions } from "../deploy/answers.ts";
import type { Images } from "../deploy/images.ts";
import { oneByOne } from "../deploy/in-order.ts";

/** What answers lots. */
interface Answering {
  classify(images: Images, options: ClassifyOptions): Promise<Answers>;
}

/** Answers in the order of their lots. @throws ArgumentError for other options, what `classify` throws at its lot */
export function streamOneByOne(
  classifier: Answering,
  source: Iterable<Images> | AsyncIterable<Images>,
  options: StreamOptions,
): AsyncGenerator<Answers, void, undefined> {
  const { patience: _, ...asked } = readStream(options);
  return oneByOne(source, (images) => classifier.classify(images, asked));
}
