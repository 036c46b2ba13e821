// One request through a tunnel, from whoever relays it: which headers go on, how long the node may take, and which of its
// headers mean anything.

import type { DeadlineLimits } from "../deadline.ts";
import { PULL_PATIENCE_MS } from "../durability/pull.ts";
import { HoldfastError } from "../error.ts";
import type { BodyReader } from "../fetch.ts";
import type { RequestHead } from "./frames.ts";
import type { TunnelOpener, TunnelResponse } from "./opener.ts";
import { NAMES_PATH, PULL_PATH, REQUEST_HEADERS } from "./passage.ts";

/** A node says nothing while it copies a chunk, from a line as slow as 64 KiB/s. */
const PULL_LIMITS: DeadlineLimits = { idleMs: PULL_PATIENCE_MS, totalMs: PULL_PATIENCE_MS };
/** Nor while it verifies a hundred Versions and asks DNS for their keys. */
export const NAMES_LIMITS: DeadlineLimits = { idleMs: 60_000, totalMs: 120_000 };
/** Response headers that mean something to a relay; a node's others end here. */
const RESPONSE_HEADERS = ["content-length", "content-type"];
/** Statuses that no response with a body can have, and no answer of a home node has. */
const BODILESS_STATUSES = [204, 205, 304];

export interface TunnelExchange extends Pick<RequestHead, "method" | "path"> {
  /** The request's, all of them. */
  headers: { get(name: string): string | null };
  body: BodyReader | null;
  signal: AbortSignal;
}

/** The node's answer. Throws `bad-answer`, and what the opener throws. */
export async function askThrough(opener: TunnelOpener, exchange: TunnelExchange): Promise<TunnelResponse> {
  const { method, path, headers, body, signal } = exchange;
  const answer = await opener.request({
    head: { method, path, headers: passedOn(headers) },
    body,
    signal,
    limits: limitsOf(path),
  });
  if (BODILESS_STATUSES.includes(answer.status)) {
    void answer.body?.cancel();
    throw new HoldfastError(
      "bad-answer",
      `the home node answered ${answer.status}, which is no answer of the protocol`,
    );
  }
  return { ...answer, headers: answer.headers.filter(([name]) => RESPONSE_HEADERS.includes(name)) };
}

function limitsOf(path: string): DeadlineLimits | undefined {
  if (path === PULL_PATH) return PULL_LIMITS;
  return path === NAMES_PATH ? NAMES_LIMITS : undefined;
}

function passedOn(headers: TunnelExchange["headers"]): [string, string][] {
  return REQUEST_HEADERS.flatMap((name) => {
    const value = headers.get(name);
    return value === null ? [] : [[name, value] as [string, string]];
  });
}
