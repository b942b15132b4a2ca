// Where the code runs. Apart from files.ts, so that whoever only asks brings nothing else.

/** Whether this is Node (or works as it does), which has files, threads and modules of its own; browsers have none. */
export const isNode = (): boolean => typeof globalThis.process?.getBuiltinModule === "function";
