// What runs are called that are compared as they lie there: by what they differ in.

import { firstDifference } from "../../exits/index.ts";
import { type Decisive, decisive, type RunFolder } from "../files/run-folder.ts";
import type { Config } from "../settings/config.ts";
import { isPlain, type Plain } from "../settings/settings.ts";
import type { RunKey } from "./plan.ts";

/** A run among others. */
export interface Named extends RunKey {
  readonly folder: RunFolder;
  readonly settings: Decisive;
}

/**
 * What a run is called among others: by its data, its backbone and its method; where the first of that name was made
 * otherwise, by the first setting that differs too; and by its folder where even that, with the seed, is there already.
 */
export function labelled(folder: RunFolder, before: readonly Named[]): RunKey {
  const config = folder.config();
  const { data, model, method, seed } = config;
  const own = decisive(config);
  const unlike = (run: Named, parts: readonly (keyof Config)[]) =>
    firstDifference(pickFrom(run.settings, parts), pickFrom(own, parts));
  const called = (name: string, [first]: readonly Named[], ...parts: readonly (keyof Config)[]): string => {
    const difference = first && unlike(first, parts);
    return difference ? `${name} (${difference[0]} ${JSON.stringify(difference[2])})` : name;
  };
  /** The name, or with the folder where another is called so. */
  const alone = (name: string, others: readonly Named[]) => (others.length > 0 ? `${name} (${folder.dir})` : name);
  const place = (name: string, key: "data" | "backbone", part: "data" | "model") => {
    const nameOf = ({ settings: { [part]: found } }: Named) =>
      isPlain(found) ? found[part === "data" ? "name" : "backbone"] : undefined;
    const label = called(
      name,
      before.filter((run) => nameOf(run) === name),
      part,
    );
    return alone(
      label,
      before.filter((run) => run[key] === label && unlike(run, [part])),
    );
  };
  const key = { data: place(data.name, "data", "data"), backbone: place(model.backbone, "backbone", "model"), seed };
  const there = before.filter((run) => run.data === key.data && run.backbone === key.backbone);
  const recipe = ["method", "train", "calibration"] as const;
  const sibling = there.find((run) => run.seed !== seed && unlike(run, recipe) === undefined);
  if (sibling) {
    const isTaken = there.some((run) => run.method === sibling.method && run.seed === seed);
    return { ...key, method: isTaken ? `${sibling.method} (${folder.dir})` : sibling.method };
  }
  const like = there.filter(({ settings }) => settings.method.name === method.name);
  const label =
    like.length > 0 ? called(method.name, like, ...recipe) : called(method.name, there, "train", "calibration");
  const isTaken = there.filter((run) => run.method === label);
  return { ...key, method: alone(label, isTaken) };
}

const pickFrom = (settings: Decisive, parts: readonly string[]): Plain =>
  Object.fromEntries(parts.map((part) => [part, settings[part]]));
