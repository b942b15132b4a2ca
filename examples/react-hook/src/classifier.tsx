// A component that answers for pictures that are chosen, by the model at an address.

import { type ChangeEvent, useState } from "react";
import type { LoadedClassifier } from "sortie";
import { useClassifier } from "./use-classifier.ts";

export function Classifier({ url }: { readonly url: string }) {
  const state = useClassifier(url);
  if (state.status === "loading")
    return (
      <p>
        <label>
          Loading the model <progress value={state.total === undefined ? undefined : state.loaded / state.total} />
        </label>
      </p>
    );
  if (state.status === "error")
    return (
      <div role="alert">
        <p>{state.error.message}</p>
        <button type="button" onClick={state.retry}>
          Try again
        </button>
      </div>
    );
  return <Pictures classifier={state.classifier} />;
}

interface Answer {
  readonly id: string;
  readonly picture: string;
  readonly text: string;
}

function Pictures({ classifier }: { readonly classifier: LoadedClassifier }) {
  const [answers, setAnswers] = useState<readonly Answer[]>([]);
  const [error, setError] = useState("");
  const { classes, exits, guarantee } = classifier.model;

  async function classify({ target }: ChangeEvent<HTMLInputElement>): Promise<void> {
    const files = [...(target.files ?? [])];
    if (files.length === 0) return;
    try {
      const found = await classifier.classify(files);
      for (const { picture } of answers) URL.revokeObjectURL(picture);
      setAnswers(
        files.map((file, i) => ({
          id: `${i} ${file.name}`,
          picture: URL.createObjectURL(file),
          text: `${classes[found.classes[i] ?? 0]}, known at exit ${(found.exits[i] ?? 0) + 1} of ${exits.length}`,
        })),
      );
      setError("");
    } catch (error) {
      setError(error instanceof Error ? error.message : String(error));
    }
  }

  return (
    <>
      <p>Tells {classes.join(", ")}.</p>
      <p>
        <label>
          Pictures <input type="file" accept="image/*" multiple onChange={classify} />
        </label>
      </p>
      {error && <p role="alert">{error}</p>}
      <ul aria-live="polite">
        {answers.map(({ id, picture, text }) => (
          <li key={id}>
            <img src={picture} alt="" width={56} height={56} /> {text}
          </li>
        ))}
      </ul>
      <p>
        <small>{guarantee}</small>
      </p>
    </>
  );
}
