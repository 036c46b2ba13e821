// The TCP side: Node's HTTP server in front of the app, with limits on what one connection may cost. Stopping lets
// the requests in flight finish, up to DRAIN_TIMEOUT_MS.

import { createServer, IncomingMessage, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import type { Duplex } from "node:stream";
import { getRequestListener } from "@hono/node-server";
import { readDirectly } from "./request-body.ts";

/** Two signed headers of PUT /chunk come to 12 KiB each. */
export const HEADER_BYTES_MAX = 32 * 1024;
export const HEADERS_TIMEOUT_MS = 15_000;
/** A whole request: 2 MiB in this time is 7 KB/s. */
export const REQUEST_TIMEOUT_MS = 300_000;
export const IDLE_TIMEOUT_MS = 120_000;
export const KEEP_ALIVE_MS = 30_000;
export const CONNECTIONS_MAX = 1_024;
export const DRAIN_TIMEOUT_MS = 10_000;
const TIMEOUT_CHECK_MS = 5_000;
const DRAIN_CHECK_MS = 50;

export interface Listener {
  /** Returns the origin at which it listens. */
  start(): Promise<string>;
  stop(): Promise<void>;
}

export interface ListenAddress {
  host: string;
  /** 0: any free one. */
  port: number;
}

/** Answers a request; the message is the one that it came in. */
export type Answer = (request: Request, message: IncomingMessage) => Response | Promise<Response>;

/** Takes connections that are to become something else than HTTP. */
export interface Upgrades {
  /** Others are answered as requests: clients offer HTTP/2 so, and take HTTP/1. */
  wants(message: IncomingMessage): boolean;
  /** Also called for others where Node does not ask `wants` first (before 24.9). */
  accept(message: IncomingMessage, stream: Duplex, head: Buffer): void;
}

export function createListener(answer: Answer, address: ListenAddress, upgrades: Upgrades | null): Listener {
  const server = createHttpServer(answer, upgrades);
  return {
    start: async () => {
      await listen(server, address);
      return originOf(server, address.host);
    },
    stop: () => closeGently(server),
  };
}

export function createHttpServer(answer: Answer, upgrades: Upgrades | null = null): Server {
  const limits = {
    maxHeaderSize: HEADER_BYTES_MAX,
    headersTimeout: HEADERS_TIMEOUT_MS,
    requestTimeout: REQUEST_TIMEOUT_MS,
    keepAliveTimeout: KEEP_ALIVE_MS,
    connectionsCheckingInterval: TIMEOUT_CHECK_MS,
    shouldUpgradeCallback: (message: IncomingMessage) => upgrades?.wants(message) === true,
  };
  // The adaptor's own Request and Response stay out of the globals: lib and fetch use the runtime's.
  const listener = getRequestListener(
    (request, { incoming }) => {
      if (!(incoming instanceof IncomingMessage)) throw new TypeError("expected HTTP/1");
      readDirectly(request, incoming);
      return answer(request, incoming);
    },
    { overrideGlobalObjects: false },
  );
  const server = createServer(limits, listener);
  if (upgrades !== null) server.on("upgrade", (...upgrade) => upgrades.accept(...upgrade));
  server.maxConnections = CONNECTIONS_MAX;
  server.setTimeout(IDLE_TIMEOUT_MS);
  return server;
}

export function listen(server: Server, where: ListenAddress | { path: string }): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once("error", reject);
    server.listen(where, () => {
      server.off("error", reject);
      resolve();
    });
  });
}

function originOf(server: Server, host: string): string {
  const { port } = parseAddress(server.address());
  return `http://${host.includes(":") ? `[${host}]` : host}:${port}`;
}

function parseAddress(address: AddressInfo | string | null): AddressInfo {
  if (address === null || typeof address === "string") throw new TypeError("expected a TCP address");
  return address;
}

export function closeGently(server: Server): Promise<void> {
  return new Promise((resolve) => {
    if (!server.listening) return resolve();
    // A connection that was busy turns idle only when its response is out, and would then be kept alive.
    const tidying = setInterval(() => server.closeIdleConnections(), DRAIN_CHECK_MS);
    const impatience = setTimeout(() => server.closeAllConnections(), DRAIN_TIMEOUT_MS);
    server.close(() => {
      clearInterval(tidying);
      clearTimeout(impatience);
      resolve();
    });
  });
}
