// A page that classifies images by a network that was recorded elsewhere: its captures, from a file. Measured by
// `npm run size`.

import { createDevice, loadCaptures } from "../../engine/functions.ts";

await createDevice();
const { captures } = await loadCaptures(fetch("network.captures.safetensors"));

export const classify = (images: Float32Array): Promise<ArrayLike<number>> =>
  captures["network"]!.run({ images })["probabilities"]!.read();
