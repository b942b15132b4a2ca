// VitePress's own theme, with blocks that run.

import { type Theme, withBase } from "vitepress";
import DefaultTheme from "vitepress/theme";
import { defineLiveCode } from "../../live/element.ts";
import "./pictures.css";

export default {
  extends: DefaultTheme,
  enhanceApp() {
    if (typeof customElements !== "undefined") defineLiveCode(withBase("/live/worker.js"));
  },
} satisfies Theme;
