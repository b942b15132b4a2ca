// The page that is taken home: some thirty lines that load the model and answer for pictures.

const escaped = (text: string): string => text.replace(/[&<>"]/g, (sign) => `&#${sign.charCodeAt(0)};`);

/** Its text. A model and the library, `sortie.js`, lie beside it. */
export const homePage = (name: string, classes: readonly string[]): string => `<!doctype html>
<html lang="en">
  <meta charset="utf-8">
  <meta name="viewport" content="width=device-width">
  <title>${escaped(name)}</title>
  <style>
    body { font: 1rem/1.5 system-ui, sans-serif; max-width: 40rem; margin: 2rem auto; padding: 0 1rem; }
    img { max-width: 8rem; display: block; image-rendering: pixelated; }
  </style>
  <h1>${escaped(name)}</h1>
  <p>Tells ${escaped(classes.join(", "))}.</p>
  <p id="promise"></p>
  <label>Pictures <input type="file" accept="image/*" multiple></label>
  <div id="answers" aria-live="polite"></div>
  <script type="module">
    import { load } from "./sortie.js";
    const answers = document.querySelector("#answers");
    const fail = (error) => { answers.textContent = error.message; };
    const classifier = await load("model.sortie.safetensors").catch(fail);
    document.querySelector("#promise").textContent = classifier?.model.guarantee ?? "";
    const answer = async (pictures) => {
      const { classes, exits } = await classifier.classify(pictures);
      answers.replaceChildren(...pictures.flatMap((picture, i) => {
        const said = document.createElement("p");
        said.textContent = \`\${classifier.model.classes[classes[i]]}, known at exit \${exits[i] + 1}\`;
        return [Object.assign(new Image(), { src: URL.createObjectURL(picture), alt: picture.name }), said];
      }));
    };
    document.querySelector("input").addEventListener("change", ({ target }) => answer([...target.files]).catch(fail));
  </script>
</html>
`;
