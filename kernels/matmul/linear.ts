// Products with a bias, a residual and an activation on the way out (epilogue.ts), as linear layers have them.

import { EPILOGUE } from "../shared/epilogue.ts";
import { productKernel } from "./matmul.ts";
import { smallProductKernel } from "./matmul-small.ts";

/** The product of `matmulKernel` with an epilogue. */
export const linearKernel = productKernel("linear", EPILOGUE);

/** The product of `matmulSmall` with an epilogue. */
export const linearSmall = smallProductKernel("linearSmall", EPILOGUE);
