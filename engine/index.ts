// Public entry of the engine: its functions, and the same as methods of tensors.

import "./methods.ts";

export * from "./functions.ts";
