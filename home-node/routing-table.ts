// The node's own Kademlia table: which nodes it knows, many near its id and few far from it. k-bucket keeps the
// buckets; distances are lib's, because k-bucket's are floats and tie.

/// <reference path="./k-bucket.d.ts" />
import KBucket from "k-bucket";
import { decodeHash, type Hash, type NodeId } from "../lib/hash.ts";
import { nodeIdOf, parsePublicKeyText } from "../lib/openssh-key.ts";
import { closestTo, K } from "../lib/overlay/distance.ts";
import { CLOSEST_NODES_MAX, type Contact } from "../lib/wire/nodes.ts";

interface Entry {
  id: Uint8Array;
  contact: Contact;
}

export class RoutingTable {
  readonly #self: NodeId;
  readonly #buckets: KBucket<Entry>;

  constructor(self: NodeId) {
    this.#self = self;
    this.#buckets = new KBucket({ localNodeId: decodeHash(self), numberOfNodesPerKBucket: K });
  }

  get size(): number {
    return this.#buckets.count();
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
    const contacts = this.#buckets.toArray().map((entry) => entry.contact);
    return closestTo(target, contacts, (contact) => contact.id, CLOSEST_NODES_MAX);
  }
}

// Ids are hashes of keys so that nobody chooses where a node stands; a contact that breaks this is a lie.
function isGenuine(contact: Contact): boolean {
  return nodeIdOf(parsePublicKeyText(contact.key)) === contact.id;
}
