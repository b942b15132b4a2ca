// A page that multiplies two matrices: the least an app can load. Measured by `npm run size`.

import { createDevice, matmul, tensor } from "../../engine/functions.ts";

await createDevice();
console.log(await matmul(tensor([[1, 2]]), tensor([[3], [4]])).read());
