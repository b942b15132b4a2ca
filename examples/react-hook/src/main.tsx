// The page: the component, which can be taken away and put back.

import { StrictMode, useState } from "react";
import { createRoot } from "react-dom/client";
import { Classifier } from "./classifier.tsx";

function App() {
  const [isThere, setThere] = useState(true);
  return (
    <main>
      <h1>A classifier in a component</h1>
      <button type="button" onClick={() => setThere(!isThere)}>
        {isThere ? "Take it away" : "Put it back"}
      </button>
      {isThere && <Classifier url="model.sortie.safetensors" />}
    </main>
  );
}

const root = document.querySelector("#root");
if (!root) throw new Error("The page has no #root.");
createRoot(root).render(
  <StrictMode>
    <App />
  </StrictMode>,
);
