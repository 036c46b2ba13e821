// /via/<nodeId>/…, wherever it is served, by edges and by home nodes: what is asked for, how much may go up, and whose
// fault it is where nothing comes of it.

import { BATCH_BODY_MAX } from "../chunk-batch.ts";
import { HoldfastError, isHoldfastError } from "../error.ts";
import { type NodeId, parseNodeId } from "../hash.ts";
import { CHUNK_BYTES_MAX } from "../manifest.ts";
import { NAMES_BODY_MAX } from "../wire/names.ts";
import { type Passage, parsePassage } from "./passage.ts";

const VIA_PATH = /^\/via\/([^/]+)(\/.*)$/;
const LENGTH = /^\d{1,15}$/;

/** Throws `not-found`, and what the node's id and parsePassage throw. */
export function parseVia(
  method: string,
  { pathname, search }: Pick<URL, "pathname" | "search">,
): { node: NodeId; passage: Passage } {
  const [, node, path] = VIA_PATH.exec(pathname) ?? [];
  if (node === undefined || path === undefined)
    throw new HoldfastError("not-found", "expected /via/<nodeId>/…");
  return { node: parseNodeId(node), passage: parsePassage(method, path, search) };
}

/** Bytes that may go up to the node: a chunk, a batch of small ones, or bundles. */
export function uploadBytesMax({ resource }: Pick<Passage, "resource">): number {
  if (resource === "names") return NAMES_BODY_MAX;
  return resource === "chunks" ? BATCH_BODY_MAX : CHUNK_BYTES_MAX;
}

/** `declared` is the request's Content-Length. Throws `invalid-request`, or what tooLarge gives. */
export function checkDeclaredLength(declared: string | null, passage: Passage): void {
  if (declared === null) return;
  if (!LENGTH.test(declared)) throw new HoldfastError("invalid-request", "Content-Length is not a number");
  if (Number(declared) > uploadBytesMax(passage)) throw tooLarge(passage);
}

/** What more than uploadBytesMax is refused with. */
export function tooLarge(passage: Passage): HoldfastError {
  const code = passage.resource === "names" ? "body-too-large" : "chunk-too-large";
  return new HoldfastError(code, `at most ${uploadBytesMax(passage)} bytes are passed on here`);
}

/**
 * Whatever fails while a node answers is its failure, not the reader's: `bad-answer` for what it said; `timeout` or
 * `unreachable` where it fell silent. `onBroken` hears of what nobody expected.
 */
export async function blamingNode<T>(work: () => Promise<T>, onBroken: (cause: unknown) => void): Promise<T> {
  try {
    return await work();
  } catch (cause) {
    if (isHoldfastError(cause, "bad-answer", "timeout", "unreachable")) throw cause;
    if (isHoldfastError(cause)) {
      throw new HoldfastError("bad-answer", `the home node's answer cannot be used: ${cause.message}`, {
        cause,
      });
    }
    onBroken(cause);
    throw new HoldfastError("unreachable", "the home node's connection was lost midway", { cause });
  }
}
