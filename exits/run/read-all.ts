// The values of many tensors at once: all weights of a network are more than one buffer may hold.

import { read, type Tensor } from "../../engine/functions.ts";

/** Host data of tensors, in order, in as many reads as the device's largest buffer asks for. */
export async function readAll(tensors: Iterable<Tensor>): Promise<Awaited<ReturnType<typeof read>>> {
  const groups: Tensor[][] = [];
  let room = 0;
  for (const tensor of tensors) {
    const { bytes, device } = tensor;
    // Each part of a read begins at a multiple of 8 bytes.
    const size = bytes + 8;
    if (size > room) {
      groups.push([]);
      room = device.info.limits.maxBufferSize;
    }
    groups.at(-1)?.push(tensor);
    room -= size;
  }
  const all: Awaited<ReturnType<typeof read>> = [];
  for (const group of groups) all.push(...(await read(group)));
  return all;
}
