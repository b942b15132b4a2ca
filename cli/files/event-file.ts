// Event files of TensorBoard: records in TFRecord's framing (length, masked CRC-32C, data, masked CRC-32C), each an
// `Event` message with a time, a step and scalars. Fields are those of tensorflow/core/util/event.proto and
// framework/summary.proto.

import { crcBy } from "../../data/index.ts";

/** Scalars of one step. */
export interface ScalarEvent {
  /** Seconds since 1970. */
  readonly time: number;
  readonly step: number;
  /** By tag, such as `validation/accuracy/exit 1`. */
  readonly scalars: ReadonlyMap<string, number>;
}

/** CRC-32C (Castagnoli). */
export const crc32c = crcBy(0x82f63b78);

/** TFRecord's checksum, which may itself stand among checksummed bytes. */
function maskedCrc(bytes: Uint8Array): number {
  const crc = crc32c(bytes);
  return (((crc >>> 15) | (crc << 17)) + 0xa282ead8) >>> 0;
}

const utf8 = new TextEncoder();

function varint(value: number): number[] {
  const bytes: number[] = [];
  for (let rest = value; ; rest = Math.floor(rest / 128)) {
    if (rest < 128) return [...bytes, rest];
    bytes.push((rest % 128) + 128);
  }
}

const bytesField = (field: number, bytes: Iterable<number>): number[] => {
  const all = [...bytes];
  return [field * 8 + 2, ...varint(all.length), ...all];
};
const doubleField = (field: number, value: number): number[] => {
  return [field * 8 + 1, ...new Uint8Array(new Float64Array([value]).buffer)];
};
const floatField = (field: number, value: number): number[] => {
  return [field * 8 + 5, ...new Uint8Array(new Float32Array([value]).buffer)];
};

/** Event { wall_time = 1, step = 2, file_version = 3 | summary = 5 { value = 1 { tag = 1, simple_value = 2 } } } */
function encodeEvent(time: number, step: number, what: number[]): Uint8Array {
  return Uint8Array.from([...doubleField(1, time), 2 * 8, ...varint(step), ...what]);
}

function record(data: Uint8Array): Uint8Array {
  const framed = new Uint8Array(data.length + 16);
  const view = new DataView(framed.buffer);
  view.setBigUint64(0, BigInt(data.length), true);
  view.setUint32(8, maskedCrc(framed.subarray(0, 8)), true);
  framed.set(data, 12);
  view.setUint32(12 + data.length, maskedCrc(data), true);
  return framed;
}

/** What an event file begins with. */
const encodeVersion = (time: number): Uint8Array =>
  record(encodeEvent(time, 0, bytesField(3, utf8.encode("brain.Event:2"))));

const encodeScalars = ({ time, step, scalars }: ScalarEvent): Uint8Array => {
  const values = [...scalars].flatMap(([tag, value]) =>
    bytesField(1, [...bytesField(1, utf8.encode(tag)), ...floatField(2, value)]),
  );
  return record(encodeEvent(time, step, bytesField(5, values)));
};

/** An event file, whole. @param began Seconds since 1970. */
export const encodeEvents = (began: number, events: readonly ScalarEvent[]): Uint8Array =>
  Buffer.concat([encodeVersion(began), ...events.map(encodeScalars)]);

/** What is written behind an event file that grows: readers keep it open. */
export const encodeMore = (events: readonly ScalarEvent[]): Uint8Array => Buffer.concat(events.map(encodeScalars));
