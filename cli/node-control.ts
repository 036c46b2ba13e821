// Telling the node in a folder what its volunteer means to do, by its socket, and asking how it stands.

import { requestJson } from "../lib/client/request.ts";
import { HoldfastError } from "../lib/error.ts";
import type { Fetch } from "../lib/fetch.ts";
import { isLocal, type LocalNodeStatus, parseNodeReport } from "../lib/node-status.ts";
import { SOCKET_ORIGIN, withNodeIn } from "./node-dir.ts";

const LIMITS = { idleMs: 10_000, totalMs: 20_000 };

/** What the node says of itself after it was told. Throws `unreachable` where none runs in `dir`. */
export function tellNode(dir: string, path: "/pause" | "/leave", what: object): Promise<LocalNodeStatus> {
  const body = JSON.stringify(what);
  const headers = { "content-type": "application/json", accept: "application/json" };
  return withNodeIn(dir, (fetch) => ask(fetch, path, { method: "POST", headers, body }));
}

export function statusOfNode(dir: string): Promise<LocalNodeStatus> {
  return withNodeIn(dir, (fetch) => ask(fetch, "/status", { headers: { accept: "application/json" } }));
}

function ask(
  fetch: Fetch,
  path: string,
  request: { method?: string; headers: Record<string, string>; body?: string },
): Promise<LocalNodeStatus> {
  return requestJson(fetch, `${SOCKET_ORIGIN}${path}`, { ...request, limits: LIMITS, parse: parseLocal });
}

function parseLocal(value: unknown): LocalNodeStatus {
  const status = parseNodeReport(value);
  if (isLocal(status)) return status;
  throw new HoldfastError("bad-answer", "the node does not say what its volunteer may know");
}
