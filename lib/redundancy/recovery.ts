// A chunk that nobody gives, made anew from others of its stripe. Members are loaded a few at a time until there are enough;
// one that cannot be had is replaced by another. What comes out is hashed before anyone sees it.

import { HoldfastError } from "../error.ts";
import { type Hash, hashBytes } from "../hash.ts";
import type { ChunkRef, StripedList } from "../manifest.ts";
import { decode, type Member } from "./reed-solomon.ts";
import { membersOf, type Stripe, stripesWith } from "./stripes.ts";

/** Members of a stripe that are loaded at a time. */
export const RECOVERY_LOADS_AT_ONCE = 4;
/** Chunks made anew at a time: the arithmetic of four costs what that of one does, and their memory is bounded. */
export const RECOVERED_AT_ONCE_MAX = 4;

/** A chunk's verified bytes, or null where nobody gives them. */
export type LoadChunk = (chunk: ChunkRef) => Promise<Uint8Array<ArrayBuffer> | null>;
export type Digest = (bytes: Uint8Array<ArrayBuffer>) => Promise<Hash>;

/**
 * The bytes of a data or parity chunk that `list` names, from others of its stripe: as many as the stripe has data chunks.
 * Throws `no-holder` where too few can be loaded, or where what they give has not the chunk's hash.
 */
export async function recoverChunk(
  list: StripedList,
  wanted: Hash,
  load: LoadChunk,
  digest: Digest = async (bytes) => hashBytes(bytes),
): Promise<Uint8Array<ArrayBuffer>> {
  const { bytes } = await recoverChunks(list, wanted, load, digest);
  return bytes;
}

export interface Recovered {
  bytes: Uint8Array<ArrayBuffer>;
  /** What else of the stripe's data was found missing on the way. */
  others: Map<Hash, Uint8Array<ArrayBuffer>>;
}

/** As recoverChunk, with others that were made in the same go: they cost no load more. */
export async function recoverChunks(
  list: StripedList,
  wanted: Hash,
  load: LoadChunk,
  digest: Digest = async (bytes) => hashBytes(bytes),
): Promise<Recovered> {
  let reason = "the list does not name it";
  for (const stripe of stripesWith(list, wanted)) {
    const found = await loadMembers(stripe, wanted, load);
    if (found.members.length === stripe.data.length) {
      const others = await decodeMissing(stripe, found.members, [wanted, ...found.missing], digest);
      const bytes = others.get(wanted);
      others.delete(wanted);
      return bytes === undefined
        ? refuse(wanted, "the parity that is listed does not fit it")
        : { bytes, others };
    }
    reason = `${found.members.length} of the ${stripe.data.length} others of its stripe that it takes can be read`;
  }
  return refuse(wanted, reason);
}

interface Found {
  members: Member[];
  /** Data chunks that could not be loaded. */
  missing: Hash[];
}

/** Loads other members than `wanted`, data first, until there are as many as the stripe has data chunks. */
async function loadMembers(stripe: Stripe, wanted: Hash, load: LoadChunk): Promise<Found> {
  const waiting = membersOf(stripe)
    .map((chunk, position) => ({ chunk, position }))
    .filter(({ chunk }) => chunk.hash !== wanted);
  const found: Found = { members: [], missing: [] };
  let underWay = 0;
  const work = async () => {
    while (found.members.length + underWay < stripe.data.length) {
      const next = waiting.shift();
      if (next === undefined) return;
      underWay++;
      try {
        const bytes = await load(next.chunk);
        if (bytes !== null) found.members.push({ position: next.position, bytes });
        else if (next.position < stripe.data.length) found.missing.push(next.chunk.hash);
      } finally {
        underWay--;
      }
    }
  };
  await Promise.all(Array.from({ length: RECOVERY_LOADS_AT_ONCE }, work));
  return found;
}

/** Those of the first chunks that come out with their hashes. */
async function decodeMissing(
  stripe: Stripe,
  members: Member[],
  hashes: Hash[],
  digest: Digest,
): Promise<Map<Hash, Uint8Array<ArrayBuffer>>> {
  const chunks = membersOf(stripe);
  const positions = hashes
    .slice(0, RECOVERED_AT_ONCE_MAX)
    .map((hash) => chunks.findIndex((chunk) => chunk.hash === hash));
  const decoded = decode(stripe.data.length, members, positions);
  const recovered = new Map<Hash, Uint8Array<ArrayBuffer>>();
  for (const [i, position] of positions.entries()) {
    const chunk = chunks[position];
    const bytes = decoded[i]?.subarray(0, chunk?.size);
    if (chunk === undefined || bytes === undefined) continue;
    if ((await digest(bytes)) === chunk.hash) recovered.set(chunk.hash, bytes);
  }
  return recovered;
}

function refuse(chunk: Hash, reason: string): never {
  throw new HoldfastError("no-holder", `nobody gives chunk ${chunk}, nor can it be made anew: ${reason}`);
}
