// Rendered on the server; the classifier comes in the browser.

import { InBrowser } from "./in-browser";

export default function Page() {
  return (
    <main>
      <h1>A classifier in a Next page</h1>
      <InBrowser url="/model.sortie.safetensors" />
    </main>
  );
}
