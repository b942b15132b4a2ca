// All addresses are relative, so that the built page may lie anywhere. The library loads parts of itself when they are
// needed, which only a worker that is a module can do.

import { defineConfig } from "vite";

export default defineConfig({ base: "./", worker: { format: "es" } });
