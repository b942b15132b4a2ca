// Answers to lots from a source, in their order, while the next lots are asked for and under way.

/** What was begun for a lot: `submitted` ends when nothing more is to be submitted for it. */
export interface Begun<A> {
  readonly submitted: Promise<unknown>;
  readonly answers: Promise<A>;
}

/** What is done with lots. */
export interface Lots<I, A> {
  begin(lot: I): Begun<A>;
  /** Lots that may be without an answer while another is asked for. */
  ahead(): number;
  /** Called where no lot follows. */
  hurry(): Promise<void>;
}

/** Lots that are kept ahead of the answers that are given. */
export const AHEAD = 2;

type Source<I> = Iterable<I> | AsyncIterable<I>;

/**
 * Answers in the order of their lots. An error of the source is thrown behind the answers to the lots in front of it;
 * whoever stops early waits for those that are under way.
 */
export async function* inOrder<I, A>(source: Source<I>, { begin, ahead, hurry }: Lots<I, A>): AsyncGenerator<A> {
  const lots = Symbol.asyncIterator in source ? source[Symbol.asyncIterator]() : source[Symbol.iterator]();
  const waiting: Promise<A>[] = [];
  let asked: Promise<void> | undefined;
  let submitted: Promise<void> | undefined;
  /** Whether the source has ended by itself, whether no further lot is begun, and whether nobody wants answers. */
  let hasEnded = false;
  let isOver = false;
  let hasLeft = false;
  let failure: { readonly error: unknown } | undefined;
  const next = async (): Promise<I | undefined> => {
    hasEnded = true;
    const { done, value } = await lots.next();
    hasEnded = done === true;
    return done ? undefined : await value;
  };
  const ask = async (): Promise<void> => {
    try {
      const lot = await next();
      isOver = hasEnded || hasLeft;
      if (!isOver) {
        const begun = begin(lot as I);
        begun.answers.catch(() => {});
        waiting.push(begun.answers);
        const settled = async (): Promise<void> => {
          submitted = undefined;
          // What took its time to be submitted was not there when the end was told.
          if (isOver || hasLeft) await hurry();
        };
        submitted = begun.submitted
          .catch(() => {})
          .then(settled)
          .catch(() => {});
      }
    } catch (error) {
      isOver = true;
      failure = { error };
    }
    asked = undefined;
    if (isOver) await hurry();
  };
  try {
    while (!isOver || waiting.length > 0) {
      if (!isOver && waiting.length <= ahead()) asked ??= ask();
      const [oldest] = waiting;
      let isAnswered = false;
      const answer = (): void => {
        isAnswered = true;
      };
      const answered = oldest?.then(answer, answer);
      await Promise.race([answered, asked, submitted].filter((one) => one !== undefined));
      if (isAnswered) yield await (waiting.shift() as Promise<A>);
    }
    if (failure) throw failure.error;
  } finally {
    hasLeft = true;
    await hurry();
    await Promise.allSettled(waiting);
    // A source that has been asked may never answer.
    const closed = hasEnded && !asked ? undefined : lots.return?.();
    if (!asked) await closed;
    else Promise.resolve(closed).catch(() => {});
  }
}

/** The same, where no lot waits for others. */
export const oneByOne = <I, A>(source: Source<I>, answer: (lot: I) => Promise<A>): AsyncGenerator<A> =>
  inOrder(source, {
    begin: (lot) => ({ submitted: Promise.resolve(), answers: answer(lot) }),
    ahead: () => AHEAD,
    hurry: async () => {},
  });
