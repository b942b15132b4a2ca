// What files of PyTorch call otherwise than models here.

/** What a file calls otherwise than the model; on PyTorch's snake_case names, both ways. */
export interface Renames {
  /** The model's name of what the file calls `name`. */
  readonly fromFile: (name: string) => string;
  /** The file's name of what the model calls `name`. */
  readonly toFile: (name: string) => string;
}

/** torchvision calls a block's projection `downsample`, and the layers of its mobile networks `features`. */
export const TORCHVISION: Renames = {
  fromFile: (name) => name.replace(/\bdownsample\./, "shortcut.").replace(/\bfeatures\./, "layers."),
  toFile: (name) => name.replace(/\bshortcut\./, "downsample.").replace(/\blayers\./, "features."),
};
