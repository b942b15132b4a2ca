// What the ways have in common whose lanes are rows.

/**
 * Accumulators that nobody uses, behind those that are 4 KiB on the stack of CPU code: what lies behind them would be
 * taken for them by a processor that compares the last twelve bits of addresses (measured: an eighth).
 */
export const APART = 16;
