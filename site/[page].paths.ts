// The documents of the repository as pages.

import { DOCUMENTS, pathsOf } from "./documents.ts";

export default pathsOf(DOCUMENTS.filter(({ page }) => !page.includes("/")));
