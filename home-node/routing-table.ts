// The node's own Kademlia table: which nodes it knows.

import { decodeHash, type Hash, type NodeId } from "../lib/hash.ts";
import { nodeIdOf, parsePublicKeyText } from "../lib/openssh-key.ts";
import { CLOSEST_NODES_MAX, type Contact } from "../lib/wire/nodes.ts";
import { Buckets } from "./buckets.ts";

export class RoutingTable {
  readonly #self: NodeId;
  readonly #buckets: Buckets<Contact>;

  constructor(self: NodeId) {
    this.#self = self;
    this.#buckets = new Buckets(decodeHash(self));
  }

  get size(): number {
    return this.#buckets.size;
  }

  /**
   * Takes in the contacts whose id is their key's; a full bucket keeps those that it has. Returns how many were
   * well formed.
   */
  add(contacts: Contact[]): number {
    const usable = contacts.filter((contact) => contact.id !== this.#self && isGenuine(contact));
    for (const contact of usable) this.#buckets.add({ id: decodeHash(contact.id), contact });
    return usable.length;
  }

  /** The known nodes closest to `target`, nearest first; never this node itself. */
  closest(target: Hash): Contact[] {
    return this.#buckets.closest(target, CLOSEST_NODES_MAX);
  }
}

// Ids are hashes of keys so that nobody chooses where a node stands; a contact that breaks this is a lie.
function isGenuine(contact: Contact): boolean {
  return nodeIdOf(parsePublicKeyText(contact.key)) === contact.id;
}
