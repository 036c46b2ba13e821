// The node's own Kademlia table: which nodes it knows, many near its id and few far from it. Whoever adds a node has made sure
// that it is the one that answers at its URL; here is decided whether there is a place for it.

import { decodeHash, type Hash, type NodeId } from "../../lib/hash.ts";
import { K, sharedBits } from "../../lib/overlay/distance.ts";
import { Buckets } from "./buckets.ts";
import type { Reachable } from "./reachable.ts";

/** Nodes of one network (a /24, a /48) in one bucket, and in the table: whoever owns a network does not own the table. */
export const NETWORK_PER_BUCKET_MAX = 2;
export const NETWORK_PER_TABLE_MAX = 10;
/** A node that did not answer so often, one try after the other, is forgotten. */
export const FAILED_TRIES_MAX = 3;

interface Entry {
  id: Uint8Array;
  contact: Reachable;
  /** What it fails together with: its network, or itself where it is on this machine. */
  network: string;
  failures: number;
}

export interface RoutingTableDeps {
  self: NodeId;
  /** Asks a node whether it is there. Never rejects. */
  ping: (contact: Reachable) => Promise<boolean>;
  onChange?: () => void;
}

export class RoutingTable {
  readonly #deps: RoutingTableDeps;
  readonly #buckets: Buckets<Reachable, Entry>;
  /** Buckets whose oldest nodes are being asked: others that come meanwhile find it full. */
  readonly #pinging = new Set<number>();
  /** Nodes that answered, in all; and how many had when each last failed. */
  #answers = 0;
  readonly #answersAtFailure = new Map<NodeId, number>();

  constructor(deps: RoutingTableDeps) {
    this.#deps = deps;
    this.#buckets = new Buckets(decodeHash(deps.self));
  }

  get size(): number {
    return this.#buckets.size;
  }

  /** All of them, each with its network. */
  entries(): { contact: Reachable; network: string }[] {
    return this.#buckets.entries().map(({ contact, network }) => ({ contact, network }));
  }

  /** Whether this node is in the table, at this URL. */
  has({ id, url }: Reachable): boolean {
    return this.#get(id)?.contact.url === url;
  }

  /** The node as the table has it; null where it has not. */
  get(id: NodeId): Reachable | null {
    return this.#get(id)?.contact ?? null;
  }

  /** Takes in a node that was found to be at its URL. One with a full bucket waits for that of an old node that is gone. */
  add(contact: Reachable, network: string): void {
    if (contact.id === this.#deps.self || !this.#isRoomFor(contact.id, network)) return;
    const isNew = !this.has(contact);
    const entry = { id: decodeHash(contact.id), contact, network, failures: 0 };
    const oldest = this.#buckets.add(entry);
    if (oldest.length > 0) void this.#makeRoom(oldest, entry);
    if (isNew) this.#deps.onChange?.();
  }

  /** The node has answered at its URL. */
  answered(contact: Reachable): void {
    this.#answers += 1;
    const entry = this.#get(contact.id);
    if (entry?.contact.url === contact.url) this.#buckets.add({ ...entry, failures: 0 });
  }

  /**
   * The node did not answer. Another URL than the table's, which somebody made up, says nothing about it. Counts against it
   * only where another has answered since the last time: else it may be this node that is cut off, and would forget all that
   * it knows.
   */
  failed({ id, url }: Reachable): void {
    const entry = this.#get(id);
    if (entry?.contact.url !== url || this.#answersAtFailure.get(id) === this.#answers) return;
    this.#answersAtFailure.set(id, this.#answers);
    entry.failures += 1;
    if (entry.failures >= FAILED_TRIES_MAX) this.#remove(id);
  }

  /** The known nodes closest to `target`, nearest first; never this node itself. */
  closest(target: Hash, count = K): Reachable[] {
    return this.#buckets.closest(target, count);
  }

  /** How many buckets there are between this node and the nodes nearest to it. */
  get depth(): number {
    const bits = this.#buckets.entries().map(({ contact }) => this.#bucketOf(contact.id) + 1);
    return Math.max(0, ...bits);
  }

  #get(id: NodeId): Entry | null {
    return this.#buckets.get(decodeHash(id));
  }

  #remove(id: NodeId): void {
    this.#buckets.remove(decodeHash(id));
    this.#answersAtFailure.delete(id);
    this.#deps.onChange?.();
  }

  #isRoomFor(id: NodeId, network: string): boolean {
    const bucket = this.#bucketOf(id);
    const others = this.#buckets.entries().filter((one) => one.network === network && one.contact.id !== id);
    const inBucket = others.filter(({ contact }) => this.#bucketOf(contact.id) === bucket);
    return others.length < NETWORK_PER_TABLE_MAX && inBucket.length < NETWORK_PER_BUCKET_MAX;
  }

  #bucketOf(id: NodeId): number {
    return sharedBits(this.#deps.self, id);
  }

  /** The newcomer takes the place of the first of the old that does not answer, where there is one. */
  async #makeRoom(old: readonly Entry[], candidate: Entry): Promise<void> {
    const bucket = this.#bucketOf(candidate.contact.id);
    if (this.#pinging.has(bucket)) return;
    this.#pinging.add(bucket);
    try {
      for (const { contact } of old) {
        if (await this.#deps.ping(contact)) this.answered(contact);
        else {
          this.#remove(contact.id);
          this.add(candidate.contact, candidate.network);
          return;
        }
      }
    } finally {
      this.#pinging.delete(bucket);
    }
  }
}
