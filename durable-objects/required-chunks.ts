// What a Version needs home nodes to keep, as its Manifest asks: whole chunks on so many failure domains each, and stripes
// with every position on one of its own.

import { type KeeperState, keeperState } from "../lib/durability/copies.ts";
import { HoldfastError } from "../lib/error.ts";
import type { Hash, NodeId } from "../lib/hash.ts";
import {
  type ChunkList,
  checkStriping,
  copiesOf,
  listedChunks,
  type Manifest,
  parseManifestPart,
  type Redundancy,
  stripedList,
} from "../lib/manifest.ts";
import type { Domain } from "../lib/names.ts";
import { acceptsDomain } from "../lib/pledge.ts";
import { matchPositions } from "../lib/redundancy/matching.ts";
import { membersOf, type Stripe, stripesOf } from "../lib/redundancy/stripes.ts";
import type { Reference } from "./chunks-table.ts";
import type { Member } from "./members-table.ts";

/** A holder that went offline this recently still counts: its disk is not gone with its link. */
export const COMMIT_GRACE_MS = 10 * 60 * 1000;
const COUNTED: readonly KeeperState[] = ["here", "expected"];

/** A Version's Manifest, with its hash and its length. */
export interface NamedManifest {
  hash: Hash;
  sizeBytes: number;
  manifest: Manifest;
}

/** What a Version requires, and how large each chunk of it is: the Manifest, its parts, its payload chunks and their parity. */
export interface Required {
  required: RequiredChunks;
  sizes: Map<Hash, number>;
}

/** Reads the parts of a large Manifest by `readPart`. Throws what that throws, and `invalid-manifest`. */
export async function requiredBy(
  { hash, sizeBytes, manifest }: NamedManifest,
  readPart: (part: Hash) => Promise<Uint8Array>,
): Promise<Required> {
  const { redundancy } = manifest;
  const required = new RequiredChunks(redundancy);
  required.addManifest(hash);
  const sizes = new Map<Hash, number>([[hash, sizeBytes]]);
  const addList = (listedIn: Hash, list: ChunkList) => {
    required.addList(listedIn, list);
    for (const chunk of listedChunks(list)) sizes.set(chunk.hash, chunk.size);
  };
  if ("chunks" in manifest) {
    addList(hash, manifest);
    return { required, sizes };
  }
  for (const { hash: partHash, size } of manifest.parts) {
    const bytes = await readPart(partHash);
    const part = parseManifestPart(bytes);
    // Nobody could read it.
    if (part.size !== size)
      throw new HoldfastError("invalid-manifest", `part ${partHash} has not the size that the Manifest says`);
    checkStriping(part, redundancy);
    required.addManifest(partHash);
    sizes.set(partHash, bytes.length);
    addList(partHash, part);
  }
  return { required, sizes };
}

export class RequiredChunks {
  readonly #redundancy: Redundancy;
  readonly #whole = new Set<Hash>();
  readonly #stripes: { listedIn: Hash; stripe: Stripe }[] = [];

  constructor(redundancy: Redundancy) {
    this.#redundancy = redundancy;
  }

  /** The Manifest itself, or a part. */
  addManifest(hash: Hash): void {
    this.#whole.add(hash);
  }

  /** The payload that the Manifest or a part lists. */
  addList(listedIn: Hash, list: ChunkList): void {
    const striped = stripedList(list, this.#redundancy);
    if (striped === null) for (const { hash } of list.chunks) this.#whole.add(hash);
    else this.#stripes.push(...stripesOf(striped).map((stripe) => ({ listedIn, stripe })));
  }

  /** One for each chunk. */
  references(version: Omit<Reference, "chunk" | "copies" | "listedIn">): Reference[] {
    const copies = copiesOf(this.#redundancy);
    const references = new Map<Hash, Reference>();
    for (const { listedIn, stripe } of this.#stripes) {
      for (const [chunk, positions] of countBy(membersOf(stripe).map(({ hash }) => hash))) {
        const known = references.get(chunk)?.copies ?? 0;
        if (positions > known) references.set(chunk, { ...version, chunk, copies: positions, listedIn });
      }
    }
    for (const chunk of this.#whole) references.set(chunk, { ...version, chunk, copies, listedIn: null });
    return [...references.values()];
  }

  /** Throws `not-held` where a chunk is not kept for the domain as it is asked for. */
  checkHeld(domain: Domain, holdings: Map<Hash, NodeId[]>, members: Map<NodeId, Member>): void {
    const copies = copiesOf(this.#redundancy);
    const keepers = (chunk: Hash) => failureDomains(holdings.get(chunk) ?? [], members, domain);
    for (const chunk of this.#whole) {
      const held = keepers(chunk).size;
      if (held < copies)
        throw new HoldfastError(
          "not-held",
          `chunk ${chunk} is held ${held} times, ${copies} are asked: publish again`,
        );
    }
    for (const { stripe } of this.#stripes) checkStripe(stripe, keepers);
  }
}

function checkStripe(stripe: Stripe, keepers: (chunk: Hash) => Set<string>): void {
  const chunks = membersOf(stripe);
  const matched = matchPositions(chunks.map(({ hash }) => keepers(hash)));
  const lacking = chunks[matched.indexOf(null)];
  if (lacking === undefined) return;
  const held = matched.filter((domain) => domain !== null).length;
  throw new HoldfastError(
    "not-held",
    `chunk ${lacking.hash} has no failure domain of its own: of its stripe's ${chunks.length} chunks ${held} have one. Publish again`,
  );
}

/** Where a chunk is kept by those who have chosen the domain. */
function failureDomains(holders: NodeId[], members: Map<NodeId, Member>, domain: Domain): Set<string> {
  const keeping = holders.flatMap((id) => members.get(id) ?? []).filter(isKeeping);
  const accepting = keeping.filter((member) => acceptsDomain(member, domain));
  return new Set(accepting.map(({ failureDomain }) => failureDomain));
}

function isKeeping(member: Member): boolean {
  const held = { sinceMs: Number.POSITIVE_INFINITY };
  return COUNTED.includes(keeperState(member, held, Date.now(), COMMIT_GRACE_MS));
}

function countBy<T>(items: readonly T[]): Map<T, number> {
  const counts = new Map<T, number>();
  for (const item of items) counts.set(item, (counts.get(item) ?? 0) + 1);
  return counts;
}
