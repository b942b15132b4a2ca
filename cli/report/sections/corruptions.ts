// The section about corrupted images: what `sortie evaluate --corruptions` found of the weights at hand.

import { existsSync } from "node:fs";
import { lastOf, zip } from "../../../base/index.ts";
import type { RunFolder } from "../../files/run-folder.ts";
import { changedSince, stampOf } from "../../files/stamp.ts";
import { readJson } from "../../files/whole.ts";
import {
  brokenText,
  bySeverity,
  type CorruptionFindings,
  type CorruptionRow,
  promisesOf,
} from "../../findings/corruptions.ts";
import type { Findings } from "../../findings/findings.ts";
import { percent } from "../../format.ts";
import { escapeHtml, section, table } from "../html.ts";

/** What was found of these weights under this policy, if it was. */
export function readCorruptions(
  folder: RunFolder,
  { raw, file }: Pick<Findings, "file"> & { readonly raw: Pick<Findings["raw"], "origin"> },
): CorruptionFindings | undefined {
  const path = folder.path("corruptions");
  if (!existsSync(path)) return undefined;
  const found = asCorruptionFindings(readJson(path));
  return found && changedSince(found, stampOf(raw, file)) === undefined ? found : undefined;
}

/** A parsed JSON, if it holds such findings. */
export function asCorruptionFindings(json: unknown): CorruptionFindings | undefined {
  const found = json as Partial<CorruptionFindings> | null | undefined;
  return Array.isArray(found?.rows) && found.clean && found.meanError ? (found as CorruptionFindings) : undefined;
}

/** Accuracy from severity to severity, and what becomes of the policy. */
export function corruptionSection(found: CorruptionFindings | undefined): string {
  if (!found) return "";
  const { clean, rows, samples, images, synthetic, meanError, names } = found;
  const hasPolicy = clean.policy !== undefined;
  const severities = [...new Set(rows.map(({ severity }) => severity))];
  const last = (row: CorruptionRow) => percent(lastOf(row.exits).accuracy);
  const policyCells = (of: readonly CorruptionRow[]): string[] => {
    const policies = of.flatMap(({ policy }) => policy ?? []);
    const mean = (pick: (policy: (typeof policies)[number]) => number) =>
      percent(policies.reduce((sum, policy) => sum + pick(policy), 0) / policies.length);
    return [
      mean(({ accuracy }) => accuracy),
      mean(({ cost }) => cost),
      mean(({ shift }) => shift),
      brokenText(promisesOf(of)),
    ];
  };
  const head = [
    "corruption",
    ...severities.map((severity) => `severity ${severity}`),
    ...(hasPolicy ? ["policy", "its cost", "leave elsewhere", "promise broken"] : []),
  ];
  const lineOf = (name: string, of: readonly CorruptionRow[]) => [
    name,
    ...of.map(last),
    ...new Array<string>(severities.length - of.length).fill(""),
    ...(hasPolicy ? policyCells(of) : []),
  ];
  const all = [...new Set(rows.map(({ name }) => name))];
  const body = [
    lineOf("clean", [clean]),
    ...all.map((name) =>
      lineOf(
        Object.hasOwn(synthetic, name) ? `${name} (synthetic)` : name,
        rows.filter((row) => row.name === name),
      ),
    ),
  ];
  const errors = zip(names, meanError.exits)
    .map(([name, error]) => `${name} ${percent(error)}`)
    .join(", ");
  const notes = Object.entries(synthetic).map(([name, why]) => `${name}: ${why}.`);
  const from =
    images === "official" ? "Published images" : "Images corrupted by code, by the parameters published for CIFAR-10-C";
  return section(
    "Corrupted images",
    `${from}; ${samples} of each. Accuracy of the last exit, and over all severities what the policy does: its promise was made for
clean images, and is broken where the observed risk is above the target by more than chance explains. Mean corruption error, not divided by another network's: ${escapeHtml(errors)}. ${escapeHtml(notes.join(" "))}`,
    table(head, body) + severityTable(found),
  );
}

/** From severity to severity, means over the corruptions that count. */
function severityTable(found: CorruptionFindings): string {
  const means = bySeverity(found).filter(({ corruptions }) => corruptions > 0);
  const { clean } = found;
  const head = [
    ...["severity", "last exit", "its ECE"],
    ...(clean.policy ? ["policy", "its cost", "leave elsewhere", "promised risk, observed", "promise broken"] : []),
  ];
  return table(
    head,
    means.map(({ severity, accuracy, ece, policy }) => [
      severity === 0 ? "clean" : String(severity),
      ...[accuracy, ece].map(percent),
      ...(policy ? [policy.accuracy, policy.cost, policy.shift, policy.risk].map(percent) : []),
      ...(policy ? [brokenText(policy.promises)] : []),
    ]),
  );
}
