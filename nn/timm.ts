// timm's names of the networks that torchvision calls otherwise: MobileNetV3, EfficientNet and ConvNeXt. Which file it
// is, and which of its blocks are of which form, is read from its names alone; ResNet and ViT need nothing.

import { type Renames, TORCHVISION } from "./renames.ts";

type Rules = readonly (readonly [there: RegExp, here: string])[];

const CONVNEXT: Rules = [
  [/^stem\./, "features.0."],
  [/^head\.norm\./, "classifier.0."],
  [/^head\.fc\./, "classifier.2."],
  [/\.conv_dw\./, ".block.0."],
  [/(\.blocks\.\d+)\.norm\./, "$1.block.2."],
  [/\.mlp\.fc1\./, ".block.3."],
  [/\.mlp\.fc2\./, ".block.5."],
  [/\.gamma$/, ".layer_scale"],
];

/** A name by the first rule that speaks of it. */
function renamed(name: string, rules: Rules): string {
  const [there, here] = rules.find(([pattern]) => pattern.test(name)) ?? [];
  return there && here !== undefined ? name.replace(there, here) : name;
}

/** A stage's downsampling and its blocks are layers of their own in torchvision. */
const convnextName = (name: string): string =>
  renamed(name, CONVNEXT)
    .replace(/^stages\.(\d+)\.downsample\./, (_, stage: string) => `features.${2 * Number(stage)}.`)
    .replace(/^stages\.(\d+)\.blocks\./, (_, stage: string) => `features.${2 * Number(stage) + 1}.`);

const SQUEEZE: Rules = [
  [/^conv_reduce\./, "fc1."],
  [/^conv_expand\./, "fc2."],
];

/** Layers of a block in their order, each as timm calls its convolution and its norm; `se` has neither. */
const FORMS: readonly (readonly (readonly [conv: string, norm: string])[])[] = [
  [
    ["conv_pw", "bn1"],
    ["conv_dw", "bn2"],
    ["se", "se"],
    ["conv_pwl", "bn3"],
  ],
  [
    ["conv_dw", "bn1"],
    ["se", "se"],
    ["conv_pw", "bn2"],
  ],
];

const BLOCK = /^blocks\.(\d+)\.(\d+)\.([^.]+)\.(.*)$/;

/** Of MobileNetV3, whose blocks torchvision counts in one list, and whose head is linear; else of EfficientNet. */
function mobileNames(names: readonly string[]): (name: string) => string {
  const parts = new Map<string, Set<string>>();
  for (const name of names) {
    const [, stage, block, part] = BLOCK.exec(name) ?? [];
    if (part === undefined) continue;
    const key = `${stage}.${block}`;
    parts.set(key, (parts.get(key) ?? new Set()).add(part));
  }
  const number = (key: string) => key.split(".").map(Number) as [number, number];
  const order = [...parts.keys()].sort((a, b) => {
    const [[stage, block], [otherStage, otherBlock]] = [number(a), number(b)];
    return stage - otherStage || block - otherBlock;
  });
  const isFlat = !names.includes("bn2.weight");
  const last = `features.${order.reduce((most, key) => Math.max(most, number(key)[0]), -1) + 2}`;
  const outer: Rules = [
    [/^conv_stem\./, "features.0.0."],
    [/^bn1\./, "features.0.1."],
    [/^conv_head\./, isFlat ? "classifier.0." : `${last}.0.`],
    [/^bn2\./, `${last}.1.`],
    [/^classifier\./, isFlat ? "classifier.3." : "classifier.1."],
  ];
  return (name) => {
    const [, stage, block, part, rest] = BLOCK.exec(name) ?? [];
    if (part === undefined || rest === undefined) return renamed(name, outer);
    const key = `${stage}.${block}`;
    const held = parts.get(key) ?? new Set();
    const place = isFlat ? `features.${order.indexOf(key) + 1}` : `features.${Number(stage) + 1}.${block}`;
    if (held.has("conv")) return `${place}.${part === "conv" ? 0 : 1}.${rest}`;
    const form = FORMS[held.has("conv_pwl") ? 0 : 1] ?? [];
    const layers = form.filter(([conv]) => held.has(conv));
    const at = layers.findIndex((layer) => layer.includes(part));
    if (at < 0) return name;
    if (part === "se") return `${place}.block.${at}.${renamed(rest, SQUEEZE)}`;
    return `${place}.block.${at}.${part === layers[at]?.[0] ? 0 : 1}.${rest}`;
  };
}

/** How a file of timm calls these networks; undefined for a file that is of none of them. */
export function timmRenames(names: readonly string[]): Renames | undefined {
  const isConvnext = names.includes("stem.0.weight") && names.some((name) => /^stages\.0\.blocks\.0\./.test(name));
  const isMobile = names.includes("conv_stem.weight");
  if (!isConvnext && !isMobile) return undefined;
  const torchvision = isConvnext ? convnextName : mobileNames(names);
  return { fromFile: (name) => TORCHVISION.fromFile(torchvision(name)), toFile: TORCHVISION.toFile };
}
