// What a page that is taken home needs of the library, as one file.

export { load } from "../../exits/index.ts";
