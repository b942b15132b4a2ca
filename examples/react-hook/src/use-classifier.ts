// A classifier as state of a component: loading, ready or failed, and freed with the component. The library comes with
// the first model, in a part of its own, so a server that renders the component runs nothing of it.

import { useCallback, useEffect, useState } from "react";
import type { LoadedClassifier } from "sortie";

export type ClassifierState =
  | { readonly status: "loading"; readonly loaded: number; readonly total: number | undefined }
  | { readonly status: "ready"; readonly classifier: LoadedClassifier }
  | { readonly status: "error"; readonly error: Error };

const LOADING: ClassifierState = { status: "loading", loaded: 0, total: undefined };

/**
 * The classifier of a model file at an address. It is disposed when the component goes or the address changes, and a
 * download that nobody waits for any more is ended; that also holds for what strict mode begins twice.
 * @returns the state, and `retry`, which loads again
 */
export function useClassifier(url: string): ClassifierState & { readonly retry: () => void } {
  const [attempt, setAttempt] = useState(0);
  const [kept, setKept] = useState({ url, attempt, state: LOADING });
  const retry = useCallback(() => setAttempt((before) => before + 1), []);

  useEffect(() => {
    const gone = new AbortController();
    const put = (state: ClassifierState): void => {
      if (!gone.signal.aborted) setKept({ url, attempt, state });
    };
    const loading = open(url, gone.signal, (loaded, total) => put({ status: "loading", loaded, total }));
    loading.then(
      (classifier) => put({ status: "ready", classifier }),
      (error: unknown) => put({ status: "error", error: error instanceof Error ? error : new Error(String(error)) }),
    );
    return () => {
      gone.abort();
      // Where it has not come, it is freed as soon as it does.
      loading.then(
        (classifier) => classifier.dispose(),
        () => undefined,
      );
    };
  }, [url, attempt]);

  // What was kept for another address is disposed, and not shown any more.
  const isCurrent = kept.url === url && kept.attempt === attempt;
  return { ...(isCurrent ? kept.state : LOADING), retry };
}

async function open(
  url: string,
  signal: AbortSignal,
  onProgress: (loaded: number, total: number | undefined) => void,
): Promise<LoadedClassifier> {
  const { load } = await import("sortie");
  return load(fetch(url, { signal }), { onProgress: ({ loaded, total }) => onProgress(loaded, total) });
}
