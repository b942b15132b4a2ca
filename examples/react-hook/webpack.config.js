// Writes the page's script, and the parts that it loads when they are needed, into public/dist.

import { fileURLToPath } from "node:url";

export default {
  mode: "production",
  entry: "./src/main.tsx",
  output: { path: fileURLToPath(new URL("public/dist", import.meta.url)), clean: true },
  module: {
    rules: [
      {
        test: /\.tsx?$/,
        loader: "ts-loader",
        exclude: /node_modules/,
        // What the compiler writes for an import of "./classifier.tsx".
        resolve: { extensionAlias: { ".js": [".tsx", ".ts"] } },
      },
    ],
  },
  // The library is in a part of its own, which comes with the first model.
  performance: { maxAssetSize: 600_000, maxEntrypointSize: 250_000 },
};
