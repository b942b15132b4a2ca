// Answers for one lot of images after the other.

import type { Answers } from "../deploy/answers.ts";
import type { Images } from "../deploy/given-images.ts";

/** Calls that are kept ahead of the answers that are given. */
const AHEAD = 2;

/** Answers in the order of their lots; the next lots are under way while answers are waited for. */
export async function* inOrder(
  source: Iterable<Images> | AsyncIterable<Images>,
  classify: (images: Images) => Promise<Answers>,
): AsyncGenerator<Answers, void, undefined> {
  const waiting: Promise<Answers>[] = [];
  try {
    for await (const images of source) {
      const call = classify(images);
      call.catch(() => {});
      waiting.push(call);
      if (waiting.length > AHEAD) yield await (waiting.shift() as Promise<Answers>);
    }
    for (const call of waiting) yield await call;
  } finally {
    await Promise.allSettled(waiting);
  }
}
