// DNS over HTTPS (RFC 8484) for one machine, over plain HTTP on the loopback interface: serves a zone file, read
// again for every query, so that an edited record holds at once. It stands in for a public resolver while trying
// Holdfast out and in tests; it forwards nothing.

import { readFile } from "node:fs/promises";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import { answerQuery } from "./dns-answer.ts";
import { parseZoneFile, type ZoneRecord } from "./zone-file.ts";

export const DOH_PATH = "/dns-query";
/** One question and its EDNS options need a few hundred. */
export const QUERY_BYTES_MAX = 4096;

const MEDIA_TYPE = "application/dns-message";
const REQUEST_TIMEOUT_MS = 10_000;
const CONNECTIONS_MAX = 256;
const BASE64URL = /^[A-Za-z0-9_-]+$/;

export interface DohResponderOptions {
  /** Path of the zone file; see zone-file.ts. */
  zoneFile: string;
  /** 0, the default, takes any free port. */
  port?: number;
  host?: string;
  /** Takes one line for each query that the zone file's state made fail. */
  log?: (line: string) => void;
}

export interface DohResponder {
  start(): Promise<{ url: string }>;
  stop(): Promise<void>;
}

export function createDohResponder(options: DohResponderOptions): DohResponder {
  const { zoneFile, port = 0, host = "127.0.0.1", log = logToStderr } = options;
  const server = createServer({ requestTimeout: REQUEST_TIMEOUT_MS }, (request, response) => {
    handle(request, response, () => readZone(zoneFile, log)).catch((error: unknown) => {
      log(`the DNS responder failed: ${String(error)}`);
      response.destroy();
    });
  });
  server.maxConnections = CONNECTIONS_MAX;
  return {
    start: () => listen(server, port, host),
    stop: () => close(server),
  };
}

async function handle(
  request: IncomingMessage,
  response: ServerResponse,
  readRecords: () => Promise<ZoneRecord[] | null>,
): Promise<void> {
  const query = await readQuery(request);
  if (typeof query === "number") return refuse(response, query);
  const answer = answerQuery(query, await readRecords());
  if (answer === null) return refuse(response, 400);
  // RFC 8484 5.1: no longer than the shortest TTL in the answer; a zone that is being edited is best not cached at all.
  response.writeHead(200, {
    "content-type": MEDIA_TYPE,
    "content-length": answer.length,
    "cache-control": "no-store",
  });
  response.end(request.method === "HEAD" ? undefined : answer);
}

/** The query's bytes, or the HTTP status that says why there are none. */
async function readQuery(request: IncomingMessage): Promise<Uint8Array | number> {
  const url = URL.parse(request.url ?? "/", "http://localhost");
  if (url?.pathname !== DOH_PATH) return 404;
  if (request.method === "GET" || request.method === "HEAD")
    return decodeParameter(url.searchParams.get("dns"));
  if (request.method !== "POST") return 405;
  if (request.headers["content-type"]?.toLowerCase() !== MEDIA_TYPE) return 415;
  return readBody(request);
}

function decodeParameter(text: string | null): Uint8Array | number {
  if (text === null || !BASE64URL.test(text)) return 400;
  const bytes = Buffer.from(text, "base64url");
  return bytes.length > QUERY_BYTES_MAX ? 413 : bytes;
}

async function readBody(request: IncomingMessage): Promise<Uint8Array | number> {
  const pieces: Uint8Array[] = [];
  let length = 0;
  for await (const piece of request) {
    pieces.push(piece);
    length += piece.length;
    if (length > QUERY_BYTES_MAX) return 413;
  }
  return Buffer.concat(pieces);
}

function refuse(response: ServerResponse, status: number): void {
  response.writeHead(status, {
    connection: "close",
    ...(status === 405 ? { allow: "GET, HEAD, POST" } : {}),
  });
  response.end();
}

async function readZone(zoneFile: string, log: (line: string) => void): Promise<ZoneRecord[] | null> {
  try {
    return parseZoneFile(await readFile(zoneFile, "utf8"));
  } catch (error) {
    log(`${zoneFile}: ${error instanceof Error ? error.message : String(error)}`);
    return null;
  }
}

function listen(server: Server, port: number, host: string): Promise<{ url: string }> {
  return new Promise((resolve, reject) => {
    server.once("error", reject);
    server.listen(port, host, () => {
      server.off("error", reject);
      const address = server.address();
      const bound = typeof address === "object" && address !== null ? address.port : port;
      resolve({ url: `http://${host.includes(":") ? `[${host}]` : host}:${bound}${DOH_PATH}` });
    });
  });
}

function close(server: Server): Promise<void> {
  if (!server.listening) return Promise.resolve();
  return new Promise((resolve, reject) => {
    server.close((error) => (error === undefined ? resolve() : reject(error)));
    server.closeAllConnections();
  });
}

function logToStderr(line: string): void {
  process.stderr.write(`${line}\n`);
}
