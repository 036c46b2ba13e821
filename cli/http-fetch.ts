// lib's Fetch over node:http and node:https: the least of the Fetch Standard that a client of the protocol needs. The
// global fetch copies every body two or three times more: it takes 1.5 times as long to receive a chunk, 5 times to send.

import {
  Agent as HttpAgent,
  request as httpRequest,
  type IncomingMessage,
  type RequestOptions,
} from "node:http";
import { Agent as HttpsAgent, request as httpsRequest } from "node:https";
import { isIP, type LookupFunction } from "node:net";
import type { BodyReader, Fetch, FetchInit, FetchResponse } from "../lib/fetch.ts";
import { isPublicAddress } from "../lib/ip-address.ts";
import { NotPublicError } from "./public-lookup.ts";

const USER_AGENT = "holdfast";
/** A server closes an idle connection when it likes, so also just as it is used again. */
const RESENDS_MAX = 2;

/**
 * Ports that the Fetch Standard blocks ("port blocking"): what listens there speaks another protocol, and could be made
 * to take a request for a message of its own. Servers' URLs come from strangers.
 */
const BLOCKED_PORTS = new Set([
  1, 7, 9, 11, 13, 15, 17, 19, 20, 21, 22, 23, 25, 37, 42, 43, 53, 69, 77, 79, 87, 95, 101, 102, 103, 104,
  109, 110, 111, 113, 115, 117, 119, 123, 135, 137, 139, 143, 161, 179, 389, 427, 465, 512, 513, 514, 515,
  526, 530, 531, 532, 540, 548, 554, 556, 563, 587, 601, 636, 989, 990, 993, 995, 1719, 1720, 1723, 2049,
  3659, 4045, 4190, 5060, 5061, 6000, 6566, 6665, 6666, 6667, 6668, 6669, 6679, 6697, 10080,
]);

type Protocol = "http:" | "https:";

const requests = { "http:": httpRequest, "https:": httpsRequest };

/** Connections kept open, and how a host's name is resolved for new ones. */
type Agents = Record<Protocol, HttpAgent>;

function createAgents(options: { lookup?: LookupFunction } = {}): Agents {
  return {
    "http:": new HttpAgent({ keepAlive: true, ...options }),
    "https:": new HttpsAgent({ keepAlive: true, ...options }),
  };
}

const ownAgents = createAgents();

/** Follows no redirect: gives it back where `init.redirect` is "manual", else fails. Rejects with the signal's reason, or with what Node says. */
export const httpFetch: Fetch = (url, init) => exchange(url, init, ({ protocol }) => ownAgents[protocol]);

/**
 * httpFetch for URLs that strangers gave: connects to public addresses only, whatever the host's name resolves to. Its
 * connections are its own, so none that httpFetch made elsewhere is used.
 */
export function createPublicFetch(lookup: LookupFunction): Fetch {
  const agents = createAgents({ lookup });
  return (url, init) =>
    exchange(url, init, ({ protocol, hostname }) => {
      const literal = hostname.replace(/^\[|\]$/g, "");
      // For an address nothing is looked up.
      if (isIP(literal) !== 0 && !isPublicAddress(literal)) throw new NotPublicError(literal);
      return agents[protocol];
    });
}

/** httpFetch by a Unix socket, whatever the URL's host is. */
export function createSocketFetch(socketPath: string): Fetch {
  return (url, init) => exchange(url, init, () => false, { socketPath });
}

async function exchange(
  url: string,
  init: FetchInit = {},
  agentFor: (target: Target) => HttpAgent | false,
  connection: RequestOptions = {},
): Promise<FetchResponse> {
  const target = parseTarget(url);
  const response = await send(target, init, { agent: agentFor(target), ...connection }).catch((error) => {
    init.signal?.throwIfAborted();
    throw error;
  });
  const status = response.statusCode ?? 0;
  if (status >= 300 && status < 400 && init.redirect !== "manual") {
    response.destroy();
    throw new TypeError("the server redirects, which is not followed");
  }
  return toFetchResponse(response, status, init.signal);
}

type Target = URL & { protocol: Protocol };

function parseTarget(text: string): Target {
  const url = new URL(text);
  if (!isWebAddress(url)) throw new TypeError("neither http nor https");
  if (url.username !== "" || url.password !== "") throw new TypeError("a URL with credentials in it");
  if (BLOCKED_PORTS.has(Number(url.port))) throw new TypeError(`port ${url.port} is not for the web`);
  return url;
}

function isWebAddress(url: URL): url is Target {
  return url.protocol in requests;
}

/** A request and what came of it: its answer, or nothing because the connection it was given had been closed meanwhile. */
type Sent = IncomingMessage | "stale";

/** Sends again what a kept connection lost: every request of the protocol, and a question to DNS, may be repeated. */
async function send(url: Target, init: FetchInit, connection: RequestOptions): Promise<IncomingMessage> {
  for (let resends = 0; ; resends++) {
    const sent = await sendOnce(url, init, connection, resends < RESENDS_MAX);
    if (sent !== "stale") return sent;
  }
}

function sendOnce(
  url: Target,
  { method = "GET", headers, body, signal }: FetchInit,
  connection: RequestOptions,
  mayResend: boolean,
): Promise<Sent> {
  const options: RequestOptions = {
    method,
    headers: { "accept-encoding": "identity", "user-agent": USER_AGENT, ...headers },
    ...(signal === undefined ? {} : { signal }),
    ...connection,
  };
  return new Promise((resolve, reject) => {
    const sending = requests[url.protocol](url, options, resolve);
    // Stays for good: after the response, a connection that fails says so here as well as to the body's reader.
    sending.on("error", (error: NodeJS.ErrnoException) => {
      if (mayResend && sending.reusedSocket && error.code === "ECONNRESET") resolve("stale");
      else reject(error);
    });
    sending.end(typeof body === "string" ? Buffer.from(body) : body);
  });
}

function toFetchResponse(
  response: IncomingMessage,
  status: number,
  signal: AbortSignal | undefined,
): FetchResponse {
  const headers = {
    get: (name: string) => {
      const value = response.headers[name.toLowerCase()];
      return Array.isArray(value) ? value.join(", ") : (value ?? null);
    },
  };
  return { status, headers, body: { getReader: () => readerOf(response, signal) } };
}

function readerOf(response: IncomingMessage, signal: AbortSignal | undefined): BodyReader {
  const blocks: AsyncIterator<Uint8Array> = response[Symbol.asyncIterator]();
  const read = async () => {
    try {
      const { done = false, value } = await blocks.next();
      return { done, value };
    } catch (error) {
      signal?.throwIfAborted();
      // Node's word for it is "aborted".
      if (!response.complete) throw new Error("the connection was closed midway");
      throw error;
    }
  };
  return { read, cancel: async () => void response.destroy() };
}
