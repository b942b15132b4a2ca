// What only a browser has: WebGPU. The server renders the line in its place.

"use client";

import dynamic from "next/dynamic";

export const InBrowser = dynamic(() => import("use-classifier/classifier").then(({ Classifier }) => Classifier), {
  ssr: false,
  loading: () => <p>Loading the page …</p>,
});
