// A report that is looked at while its run trains: the page on the loopback, which takes over what is new by itself.

import { createServer, type Server } from "node:http";
import { messageOf } from "../../base/index.ts";
import { messagePage } from "./page.ts";

/** What is shown, and how one sees that there is something new. */
export interface LiveReport {
  /** The page as it is now. What it throws is shown as text. */
  readonly render: () => Promise<string>;
  /** Another text whenever the page would be another. */
  readonly state: () => string;
}

/** How often a page asks for something new. */
const LOOK_MS = 1000;

/**
 * Replaces what is shown, and leaves place and keyboard focus where they were. Nothing is asked for while nobody looks.
 */
const SCRIPT = `
const status = document.querySelector("[role=status]");
const places = () => [...document.querySelectorAll("[tabindex], summary")];
async function look() {
  try {
    if (!document.hidden) {
      const state = await (await fetch("/state")).text();
      if (state !== document.body.dataset.state) {
        const next = new DOMParser().parseFromString(await (await fetch("/")).text(), "text/html");
        const focus = places().indexOf(document.activeElement);
        document.title = next.title;
        for (const part of ["header", "main"]) document.querySelector(part).replaceWith(next.querySelector(part));
        document.body.dataset.state = next.body.dataset.state;
        places()[focus]?.focus({ preventScroll: true });
      }
      if (status.textContent !== "live") status.textContent = "live";
    }
  } catch {
    if (status.textContent !== "ended") status.textContent = "ended";
  }
  setTimeout(look, ${LOOK_MS});
}
look();
`;

const LIVE = {
  policy: "script-src 'self'; connect-src 'self'",
  foot: '<footer><p class="brand">sortie report --watch: <span role="status">live</span></p></footer>\n<script src="/live.js"></script>',
} as const;

/** A page that goes on: with the script, which its own policy allows, and what it shows. */
const alive = (page: string, state: string): string =>
  page
    .replace("default-src 'none'", `default-src 'none'; ${LIVE.policy}`)
    .replace("<body>", `<body data-state="${state}">`)
    .replace("</body>", `${LIVE.foot}\n</body>`);

/** Serves a report on the loopback alone, on a port or on one that is free. */
export async function serveLive({ render, state }: LiveReport, port = 0): Promise<Server> {
  let shown: { readonly state: string; readonly page: Promise<string> } | undefined;
  const pageOf = (now: string): Promise<string> => {
    if (shown?.state !== now) {
      const page = render().catch((error: unknown) => messagePage(messageOf(error)));
      shown = { state: now, page: page.then((text) => alive(text, now)) };
    }
    return shown.page;
  };
  const server = createServer(async ({ url, method, headers }, response) => {
    const answer = (status: number, type: string, body: string) =>
      response
        .writeHead(status, { "content-type": `${type}; charset=utf-8`, "cache-control": "no-store" })
        .end(method === "HEAD" ? "" : body);
    // Pages of other hosts, whatever their names are made to stand for, see nothing.
    if (!/^(localhost|127\.0\.0\.1)(:\d+)?$/.test(headers.host ?? "")) return answer(421, "text/plain", "another host");
    if (method !== "GET" && method !== "HEAD") return answer(405, "text/plain", "GET alone");
    if (url === "/state") return answer(200, "text/plain", state());
    if (url === "/live.js") return answer(200, "text/javascript", SCRIPT);
    if (url === "/") return answer(200, "text/html", await pageOf(state()));
    return answer(404, "text/plain", "no such page");
  });
  return new Promise((resolve, reject) => {
    server.once("error", reject);
    server.listen(port, "127.0.0.1", () => resolve(server));
  });
}
