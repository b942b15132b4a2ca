// What `console.log` of a live block prints: values as short texts.

/** Elements of an array that are shown. */
const MOST = 12;

/** Numbers of 32 bits have no more digits than these. */
const digits = (value: number): string => String(Number.isInteger(value) ? value : Number(value.toPrecision(7)));

/** A value as a text; texts as they are. */
export function show(value: unknown): string {
  return typeof value === "string" ? value : inner(value);
}

function inner(value: unknown): string {
  if (typeof value === "string") return JSON.stringify(value);
  if (typeof value === "number") return digits(value);
  if (value instanceof Error || typeof value === "function") return String(value);
  if (Array.isArray(value)) return `[${few(value)}]`;
  if (ArrayBuffer.isView(value) && !(value instanceof DataView)) {
    const values = Array.from(value as unknown as ArrayLike<number>);
    return `${value.constructor.name}(${values.length}) [${few(values)}]`;
  }
  if (typeof value !== "object" || value === null) return String(value);
  // What says of itself what it is, as tensors do.
  if (value.toString !== Object.prototype.toString) return String(value);
  return `{ ${Object.entries(value)
    .map(([key, one]) => `${key}: ${inner(one)}`)
    .join(", ")} }`;
}

const few = (values: readonly unknown[]): string =>
  [...values.slice(0, MOST).map(inner), ...(values.length > MOST ? ["..."] : [])].join(", ");
