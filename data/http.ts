// One GET over HTTP or HTTPS, for downloads in Node: with time-outs, redirects, and the proxies that the environment
// names. Not fetch: that of Node 20 knows no proxy, and waits for ever.

import type { ClientRequest, IncomingHttpHeaders, IncomingMessage, RequestOptions } from "node:http";
import type { Socket } from "node:net";
import { SortieError } from "../base/index.ts";
import { node, type Patience } from "./files.ts";

/** What is sent, and how long the answer may take. */
export interface GetOptions extends Patience {
  readonly headers: Readonly<Record<string, string>>;
  readonly signal?: AbortSignal | undefined;
}

/** The head of an answer, and its body as it comes. */
export interface HttpAnswer {
  readonly status: number;
  readonly statusText: string;
  readonly headers: IncomingHttpHeaders;
  readonly body: AsyncIterable<Uint8Array>;
  /** Lets go of the connection. */
  close(): void;
}

/** The connection failed, ended early or fell silent; another attempt may do better. */
export class ConnectionError extends SortieError {}

const REDIRECTS = 10;

/** Timers that are set for longer, Infinity too, go off at once. */
const LONGEST_WAIT = 2 ** 31 - 1;

/**
 * Asks for an address, and for those that it redirects to. @throws ConnectionError where the line is at fault, Error
 * for a malformed address, and the signal's reason.
 */
export async function get(address: string, options: GetOptions): Promise<HttpAnswer> {
  let url = parsed(address);
  for (let hop = 0; hop <= REDIRECTS; hop++) {
    const answer = await ask(url, options);
    const { location } = answer.headers;
    if (![301, 302, 303, 307, 308].includes(answer.status) || location === undefined) return answer;
    answer.close();
    url = parsed(location, url);
  }
  throw new SortieError(`more than ${REDIRECTS} redirects`);
}

function parsed(address: string, base?: URL): URL {
  const url = URL.canParse(address, base?.href) ? new URL(address, base?.href) : undefined;
  if (url && /^https?:$/.test(url.protocol)) return url;
  throw new SortieError(`an address that is not of http or https: ${address}`);
}

async function ask(url: URL, { headers, signal, connect = 30_000, idle = 60_000 }: GetOptions): Promise<HttpAnswer> {
  signal?.throwIfAborted();
  const limit = AbortSignal.timeout(Math.min(connect, LONGEST_WAIT));
  const either = signal ? AbortSignal.any([limit, signal]) : limit;
  let request: ClientRequest | undefined;
  try {
    request = await requestFor(url, { headers, agent: false }, either);
    const message = await headOf(request, either);
    const close = () => void message.destroy();
    const { statusCode: status = 0, statusMessage: statusText = "" } = message;
    return { status, statusText, headers: message.headers, body: bodyOf(message, idle, signal), close };
  } catch (cause) {
    request?.destroy();
    signal?.throwIfAborted();
    throw new ConnectionError(limit.aborted ? `no answer within ${connect / 1000} s` : reasonOf(cause), { cause });
  }
}

/** The request, sent: to the server, to a proxy, or through a tunnel that a proxy opens. */
async function requestFor(url: URL, options: RequestOptions, signal: AbortSignal): Promise<ClientRequest> {
  const proxy = proxyFor(url, process.env);
  const isSecure = url.protocol === "https:";
  const { request } = isSecure ? node("node:https") : node("node:http");
  if (!proxy) return sent(request(url, options));
  const { request: toProxy } = proxy.protocol === "https:" ? node("node:https") : node("node:http");
  const secret = `${decodeURIComponent(proxy.username)}:${decodeURIComponent(proxy.password)}`;
  const login = proxy.username ? { "proxy-authorization": `Basic ${Buffer.from(secret).toString("base64")}` } : {};
  const headers = { ...options.headers, host: url.host };
  if (!isSecure) return sent(toProxy(proxy, { ...options, path: url.href, headers: { ...headers, ...login } }));
  const path = `${url.hostname}:${url.port || 443}`;
  const asked = toProxy(proxy, { agent: false, method: "CONNECT", path, headers: { host: path, ...login } });
  const socket = await tunnelOf(sent(asked), signal);
  const servername = url.hostname;
  const createConnection = () => node("node:tls").connect({ socket, servername });
  // Only without an agent is the connection the one that is given.
  return sent(request(url, { ...options, agent: undefined, createConnection }));
}

/** An error that comes before somebody listens would end the process. */
function sent(request: ClientRequest): ClientRequest {
  request.on("error", () => {});
  return request.end();
}

/** Settles as `listen` says; rejects on an error of the request, or when the signal says so. */
function settled<T>(
  request: ClientRequest,
  signal: AbortSignal,
  listen: (resolve: (value: T) => void, reject: (error: unknown) => void) => void,
): Promise<T> {
  return new Promise<T>((resolve, reject) => {
    const stop = () => {
      request.destroy();
      reject(signal.reason);
    };
    const end =
      <V>(then: (value: V) => void) =>
      (value: V) => {
        signal.removeEventListener("abort", stop);
        then(value);
      };
    signal.addEventListener("abort", stop);
    if (signal.aborted) stop();
    request.on("error", end(reject));
    listen(end(resolve), end(reject));
  });
}

const headOf = (request: ClientRequest, signal: AbortSignal): Promise<IncomingMessage> =>
  settled(request, signal, (resolve) => request.on("response", resolve));

const tunnelOf = (request: ClientRequest, signal: AbortSignal): Promise<Socket> =>
  settled(request, signal, (resolve, reject) => {
    const refuse = ({ statusCode, statusMessage }: IncomingMessage) =>
      reject(new Error(`the proxy opened no tunnel: HTTP ${statusCode} ${statusMessage}`));
    request.on("response", refuse);
    request.on("connect", (head, socket) => {
      if (head.statusCode === 200) return resolve(socket);
      socket.destroy();
      refuse(head);
    });
  });

/** The bytes as they come. @throws ConnectionError where the line breaks, ends early or falls silent. */
async function* bodyOf(message: IncomingMessage, idle: number, signal?: AbortSignal): AsyncGenerator<Uint8Array> {
  const stop = () => void message.destroy();
  signal?.addEventListener("abort", stop);
  let isSilent = false;
  const timer = setTimeout(
    () => {
      isSilent = true;
      message.destroy();
    },
    Math.min(idle, LONGEST_WAIT),
  );
  try {
    for await (const chunk of message) {
      yield chunk as Uint8Array;
      timer.refresh();
    }
    if (!message.complete) throw new SortieError("the connection ended early");
  } catch (cause) {
    signal?.throwIfAborted();
    throw new ConnectionError(isSilent ? `no bytes for ${idle / 1000} s` : reasonOf(cause), { cause });
  } finally {
    clearTimeout(timer);
    signal?.removeEventListener("abort", stop);
    message.destroy();
  }
}

/**
 * The proxy for an address, by the variables that all tools know: `https_proxy`, `http_proxy`, `all_proxy`, and
 * `no_proxy` with hosts and domains; lower case wins over upper. @throws Error for one that is no address.
 */
export function proxyFor(url: URL, env: Readonly<Record<string, string | undefined>>): URL | undefined {
  const of = (name: string) => env[name] || env[name.toUpperCase()];
  const port = url.port || (url.protocol === "https:" ? "443" : "80");
  const host = url.hostname.replace(/^\[|\]$/g, "").toLowerCase();
  for (const entry of (of("no_proxy") ?? "").toLowerCase().split(/[\s,]+/)) {
    const [, name = "", only] = /^(?:\*?\.)?(.*?)(?::(\d+))?$/.exec(entry) ?? [];
    const isMeant = entry === "*" || (name !== "" && (host === name || host.endsWith(`.${name}`)));
    if (isMeant && (only === undefined || only === port)) return undefined;
  }
  const proxy = of(url.protocol === "https:" ? "https_proxy" : "http_proxy") || of("all_proxy");
  if (!proxy) return undefined;
  return parsed(/^\w+:\/\//.test(proxy) ? proxy : `http://${proxy}`);
}

/** The innermost message: what really happened. */
export function reasonOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  if (error instanceof ConnectionError) return error.message;
  // A name with several addresses fails with all their errors and no message.
  const inner = error instanceof AggregateError ? error.errors[0] : error.cause;
  return inner instanceof Error ? reasonOf(inner) : error.message;
}
