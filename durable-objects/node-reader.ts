// One read of one chunk from one home node: at its own URL or through its tunnel, bounded in time and bytes, and
// verified. What came of it is told apart, because only some of it says anything about what the node keeps.

import { HoldfastError, isHoldfastError } from "../lib/error.ts";
import type { Hash, NodeId } from "../lib/hash.ts";
import { CHUNK_BYTES_MAX } from "../lib/manifest.ts";
import { readBytes } from "./body.ts";
import { digest } from "./digest.ts";
import type { Env } from "./env.ts";

/** A holder gets this long for a whole chunk: 2 MiB at 1 Mbit/s. */
export const CHUNK_TIMEOUT_MS = 16_000;
/** One that refers to others does not have the chunk. */
const NOT_FOUND = [307, 404, 410, 451];

/** By its hash only: a size that a Manifest states may be false, and the holder must not answer for that. */
export interface WantedChunk {
  hash: Hash;
}

/** Who is asked. */
export interface Source {
  id: NodeId;
  /** Null: through its tunnel. */
  url: string | null;
}

/**
 * `missing`: the node says that it does not give this chunk. `corrupt`: what it gave is something else. `unreachable`: no
 * answer that says either, in time.
 */
export type ReadOutcome =
  | { status: "read"; bytes: Uint8Array<ArrayBuffer> }
  | { status: "missing" | "corrupt" | "unreachable"; detail: string };

/** Reads by the node's URL where it has one, else through its tunnel. Never throws. */
export function readFromNode(
  { NODE_LINK }: Pick<Env, "NODE_LINK">,
  { id, url }: Source,
  wanted: WantedChunk,
): Promise<ReadOutcome> {
  if (url !== null)
    return read((path, signal) => fetch(`${url}${path}`, { redirect: "manual", signal }), wanted);
  const link = NODE_LINK.getByName(id);
  return read(
    (path, signal) => link.fetch(`http://link.invalid${path}`, { redirect: "manual", signal }),
    wanted,
  );
}

/** Sends a request to a node by one way. */
type Route = (path: string, signal: AbortSignal) => Promise<Response>;

async function read(route: Route, wanted: WantedChunk): Promise<ReadOutcome> {
  const late = new AbortController();
  // A timeout that goes on after the read would keep a Durable Object from going to sleep.
  const timer = setTimeout(
    () => late.abort(new HoldfastError("timeout", "it did not answer in time")),
    CHUNK_TIMEOUT_MS,
  );
  try {
    const response = await route(`/chunk/${wanted.hash}`, late.signal);
    if (response.status === 200) return await verified(response, wanted);
    await response.body?.cancel();
    const status = NOT_FOUND.includes(response.status) ? "missing" : "unreachable";
    return { status, detail: `it answered with status ${response.status}` };
  } catch (error) {
    const status = isHoldfastError(error, "body-too-large") ? "corrupt" : "unreachable";
    return { status, detail: error instanceof Error ? error.message : String(error) };
  } finally {
    clearTimeout(timer);
  }
}

async function verified(response: Response, { hash }: WantedChunk): Promise<ReadOutcome> {
  const bytes = await readBytes(response, CHUNK_BYTES_MAX);
  if ((await digest(bytes)) === hash) return { status: "read", bytes };
  return { status: "corrupt", detail: `its ${bytes.length} bytes do not have the chunk's hash` };
}
