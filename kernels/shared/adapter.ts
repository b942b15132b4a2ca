// What the choice among a kernel's variants knows of the adapter.

/** What the adapter offers. `subgroupSize` is 0 unless all subgroups have one size. */
export interface AdapterTraits {
  readonly hasSubgroups: boolean;
  readonly subgroupSize: number;
  /** Runs on a CPU, where loads and barriers are dear. */
  readonly isSoftware: boolean;
}

/** Whether all subgroups have a size that texts are made for. */
export const isGrouped = ({ hasSubgroups, subgroupSize }: AdapterTraits): boolean =>
  hasSubgroups && [4, 8, 16, 32].includes(subgroupSize);

/** Whether the adapter is a CPU, as narrow subgroups tell too: barriers cost there, and text is slow to compile. */
export const isNarrow = ({ subgroupSize, isSoftware }: AdapterTraits): boolean =>
  isSoftware || (subgroupSize > 0 && subgroupSize <= 8);
