// Look-ups of this node in the overlay: lib's, over GET /closest, from what the table has. Nodes that answer stay in the
// table, those that do not leave it.

import type { Hash, NodeId } from "../../lib/hash.ts";
import { sharedBits } from "../../lib/overlay/distance.ts";
import { type LookupResult, lookup } from "../../lib/overlay/lookup.ts";
import type { Clock } from "../clock.ts";
import type { PeerRequests } from "./peer-requests.ts";
import type { Reachable } from "./reachable.ts";
import type { RoutingTable } from "./routing-table.ts";

export interface FinderDeps {
  self: NodeId;
  contacts: RoutingTable;
  peers: PeerRequests;
  clock: Pick<Clock, "now">;
  signal: AbortSignal;
}

export class Finder {
  readonly #deps: FinderDeps;
  /** When something in each bucket of the table was last looked up. */
  readonly #lookedUpMs = new Map<number, number>();

  constructor(deps: FinderDeps) {
    this.#deps = deps;
  }

  /**
   * The nodes closest to `target`, as far as the nodes that are asked tell the truth. Begins with the whole table: of those
   * nearest in it all may be hostile.
   */
  find(target: Hash): Promise<LookupResult<Reachable, never>> {
    const { self, contacts, clock, signal } = this.#deps;
    this.#lookedUpMs.set(sharedBits(self, target), clock.now());
    const ask = (contact: Reachable) => this.#ask(contact, target);
    const known = contacts.entries().map(({ contact }) => contact);
    return lookup<Reachable, never>(target, known, { ask, self, signal });
  }

  /** When something in this bucket was last looked up; 0: never. */
  lookedUpMs(bucket: number): number {
    return this.#lookedUpMs.get(bucket) ?? 0;
  }

  async #ask(contact: Reachable, target: Hash) {
    const { contacts, peers, signal } = this.#deps;
    try {
      const told = await peers.closest(contact, target);
      contacts.answered(contact);
      // Whoever tells of a node at a false place does not get it out of the way.
      return { value: null, contacts: told.map((one) => contacts.get(one.id) ?? one) };
    } catch (error) {
      if (!signal.aborted) contacts.failed(contact);
      throw error;
    }
  }
}
