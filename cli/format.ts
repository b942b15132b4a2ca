// Numbers as people read them, the same in every command.

import { logRestOf } from "../calibration/index.ts";

/** A share in percent; `-` where undefined. */
export const percent = (share: number): string => (Number.isNaN(share) ? "-" : `${(100 * share).toFixed(1)} %`);

/** A level that somebody chose, such as a target risk, with the digits it was given: `0.05 %`. */
export const level = (share: number): string => `${Number((100 * share).toPrecision(4))} %`;

/** Two shares as a range: `1.7 - 4.3 %`, with the dash of print. */
export const percentRange = ({ lower, upper }: { readonly lower: number; readonly upper: number }): string =>
  `${(100 * lower).toFixed(1)} – ${percent(upper)}`;

/** Four digits after the point, or as many as said; `-` where undefined. */
export const number = (value: number, digits = 4): string => (Number.isNaN(value) ? "-" : value.toFixed(digits));

/** 10 to the `exponent`, with two digits. */
function power(exponent: number): string {
  const whole = Math.floor(exponent);
  return `${(10 ** (exponent - whole)).toFixed(1)}e${whole}`;
}

/** The confidence from which on samples leave. Near 1 it is what is missing that says something. */
export function threshold(value: number): string {
  if (value > 0.9995 && value < 1) return `1 - ${power(logRestOf(value) / Math.LN10)}`;
  if (Number.isFinite(value)) return value.toPrecision(4);
  return value > 0 ? "closed" : "open to all";
}
