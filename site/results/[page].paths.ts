// The pages of results.

import { pathsOf, RESULTS } from "../documents.ts";

export default pathsOf(RESULTS);
