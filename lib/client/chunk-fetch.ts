// How chunk bytes travel: the type that a host may bring its own transport for, and the one over fetch. A transport
// bounds time and length; whether the bytes are the right ones is chunk-source.ts's question.

import type { DeadlineLimits } from "../deadline.ts";
import { HoldfastError, isHoldfastError } from "../error.ts";
import { type Allocate, type Fetch, type FetchResponse, readBody } from "../fetch.ts";
import type { Hash } from "../hash.ts";
import { CHUNK_BYTES_MAX } from "../manifest.ts";
import { originSentTo } from "./holders.ts";
import { checkStatus, plainText, RATE_WAITS_MAX, withResponse } from "./request.ts";

/** A holder is dropped for a chunk after this long without a byte, or with the chunk unfinished. */
export const CHUNK_LIMITS: DeadlineLimits = { idleMs: 10_000, totalMs: 120_000 };
/** A relay sends nothing before it has the whole chunk and has hashed it: 2 MiB at 1 Mbit/s. */
export const RELAY_IDLE_MS = 20_000;

/** How a server sends a reader on to those that have a chunk. */
const REFERRED = 307;

export interface WantedChunk {
  hash: Hash;
  /** What the Manifest says; null for a Manifest itself, whose size nobody vouches for. */
  sizeBytes: number | null;
}

export interface ChunkFetchOptions {
  /** Redirects to follow: 1 when asking a server that may refer, 0 when asking a holder. */
  redirectsMax: 0 | 1;
  /** Whether the chunk comes, or after a redirect may come, through a relay. */
  isRelayed?: boolean;
  signal?: AbortSignal | undefined;
}

/** Fetches the chunk at `url`: at most its size in bytes, or an error. */
export type FetchChunk = (
  url: string,
  wanted: WantedChunk,
  options: ChunkFetchOptions,
) => Promise<Uint8Array<ArrayBuffer>>;

/** Chunks come in memory from `allocate`, where it is given: their last user may give it back. */
export function createChunkFetch(
  fetch: Fetch,
  limits: DeadlineLimits = CHUNK_LIMITS,
  allocate?: Allocate,
): FetchChunk {
  const relayLimits = { ...limits, idleMs: Math.max(limits.idleMs, RELAY_IDLE_MS) };
  const fetchChunk: FetchChunk = async (url, wanted, { redirectsMax, isRelayed = false, signal }) => {
    const headers = { accept: "application/octet-stream" };
    // A holder that is busy has others beside it; a server's limit holds for all that go through it.
    const waitsMax = isRelayed ? RATE_WAITS_MAX : 0;
    const exchange = { headers, limits: isRelayed ? relayLimits : limits, waitsMax, signal };
    const found = await withResponse(fetch, url, exchange, async (response) => {
      if (redirectsMax > 0 && isRedirect(response)) return { moved: await locationOf(response, url) };
      if (response.status === REFERRED) throw await referredOn(response, url);
      await checkStatus(response, url);
      return { bytes: await readChunk(response, wanted, url, allocate) };
    });
    return "bytes" in found
      ? found.bytes
      : fetchChunk(found.moved, wanted, { redirectsMax: 0, isRelayed, signal });
  };
  return fetchChunk;
}

async function readChunk(
  response: FetchResponse,
  wanted: WantedChunk,
  url: string,
  allocate: Allocate | undefined,
): Promise<Uint8Array<ArrayBuffer>> {
  try {
    return await readBody(response, wanted.sizeBytes ?? CHUNK_BYTES_MAX, allocate);
  } catch (cause) {
    if (!isHoldfastError(cause, "body-too-large")) throw cause;
    throw new HoldfastError("length-mismatch", `${url} sent more bytes than the chunk has`, { cause });
  }
}

/** A holder that refers to others does not have the chunk. */
async function referredOn(response: FetchResponse, url: string): Promise<HoldfastError> {
  await response.body?.getReader().cancel();
  return new HoldfastError("not-found", `${url} refers to others: the chunk is not there`);
}

function isRedirect(response: FetchResponse): boolean {
  return [301, 302, 303, 307, 308].includes(response.status);
}

/** Where a redirect leads: elsewhere on the server itself, or to a node that it may send us to. */
async function locationOf(response: FetchResponse, url: string): Promise<string> {
  await response.body?.getReader().cancel();
  const target = parseLocation(response.headers.get("location") ?? "", url);
  if (target.origin === new URL(url).origin || originSentTo(target.origin, url) !== null) return target.href;
  throw new HoldfastError(
    "bad-answer",
    `${url} redirects to ${plainText(target.origin)}, which is no node's place`,
  );
}

function parseLocation(location: string, base: string): URL {
  try {
    const target = new URL(location, base);
    if (target.username === "" && target.password === "") return target;
  } catch (cause) {
    throw new HoldfastError("bad-answer", `${base} redirects to what is no URL`, { cause });
  }
  throw new HoldfastError("bad-answer", `${base} redirects to a URL with credentials`);
}
