// Which pages of results there are.

import { RESULTS } from "../documents.ts";

export default { load: () => RESULTS };
