// The overlay as a client sees it: from any one home node, or an edge, on to the nodes nearest to a hash, which tell who keeps
// it. What they tell is believed nowhere: chunks are checked by their hash, Versions by their signature.

import pLimit from "p-limit";
import type { Hash, NodeId } from "../hash.ts";
import { closestTo } from "../overlay/distance.ts";
import { HolderSearch } from "../overlay/holder-search.ts";
import type { NodeAnswer } from "../overlay/lookup.ts";
import { handled } from "../promise.ts";
import type { Contact } from "../wire/nodes.ts";
import { directUrl, type Holder, mergeRoutes, routesTo } from "./holders.ts";
import type { Server } from "./server.ts";

/** Look-ups under way at once; each asks up to nine nodes at a time. */
export const LOOKUPS_AT_ONCE = 8;
/** Nodes that answered, kept to begin the next look-up at. */
export const NODES_KEPT_MAX = 2048;
/** Searches kept; the oldest goes first. */
export const SEARCHES_KEPT_MAX = 1024;

export interface OverlayOptions {
  /** Home nodes, or edges, to begin at. */
  entries: readonly Server[];
  /** Opens a node that others told of. */
  nodeAt: (url: string) => Server;
}

/** Holders that are found as they are needed. */
export interface MoreHolders {
  /** Those offered beyond the first `known`, which gave nothing; empty where no more are found. Never rejects. */
  more(known: number): Promise<Holder[]>;
}

/** A home node that can be asked. */
interface Node {
  id: NodeId;
  server: Server;
}

export class Overlay {
  readonly #options: OverlayOptions;
  readonly #limit = pLimit(LOOKUPS_AT_ONCE);
  readonly #nodes = new Map<NodeId, Node>();
  readonly #searches = new Map<Hash, MoreHolders>();
  #meeting: Promise<void> | null = null;

  constructor(options: OverlayOptions) {
    this.#options = options;
  }

  /** Who keeps the chunk of this Content Hash, or the bundle of this Name Hash, as far as nodes tell. */
  holdersOf(hash: Hash): MoreHolders {
    const known = this.#searches.get(hash);
    if (known !== undefined) return known;
    const search = new HolderSearch<Node, Holder>(hash, {
      start: (near) => this.#start(near),
      ask: (node) => this.#ask(node, hash),
      closest: async ({ server }, near) => this.#nodesIn((await server.closest(near)).nodes, server),
      merge: (one, other) => ({ ...one, routes: mergeRoutes(one.routes, other.routes) }),
    });
    const holders = {
      more: (known: number) =>
        this.#limit(async () => (await search.more(known)).map(({ holder }) => holder)),
    };
    keepNewest(this.#searches, hash, holders, SEARCHES_KEPT_MAX);
    return holders;
  }

  /** Servers that say that they keep the bundle of this Name Hash, each by its first route; few at a time. */
  async *serversKnowing(nameHash: Hash): AsyncGenerator<Server[]> {
    const found = this.holdersOf(nameHash);
    let asked = 0;
    for (;;) {
      const holders = await found.more(asked);
      if (holders.length === 0) return;
      asked += holders.length;
      yield holders.flatMap(({ routes: [first] }) =>
        first === undefined ? [] : [this.#options.nodeAt(first.url)],
      );
    }
  }

  /** The nearest of the nodes that answered before, and those that edges know. */
  async #start(hash: Hash): Promise<Node[]> {
    if (this.#nodes.size === 0) await this.#meetEntries();
    const told = this.#nodes.size > 0 ? [] : await this.#nearestByEdges(hash);
    return closestTo(hash, [...this.#nodes.values(), ...told], ({ id }) => id);
  }

  /** Asks once, however many searches begin meanwhile; and again where nobody has answered. */
  #meetEntries(): Promise<void> {
    this.#meeting ??= this.#meetAll().finally(() => {
      this.#meeting = null;
    });
    return this.#meeting;
  }

  async #meetAll(): Promise<void> {
    await Promise.all(
      this.#options.entries.map(async (server) => {
        const [identity] = await Promise.allSettled([server.identity()]);
        if (identity.status === "fulfilled" && identity.value.kind === "home-node")
          this.#keep({ id: identity.value.id, server: this.#options.nodeAt(server.url) });
      }),
    );
  }

  async #nearestByEdges(hash: Hash): Promise<Node[]> {
    const answers = await Promise.allSettled(
      this.#options.entries.map(async (server) => this.#nodesIn((await server.closest(hash)).nodes, server)),
    );
    return answers.flatMap((answer) => (answer.status === "fulfilled" ? answer.value : []));
  }

  async #ask(node: Node, hash: Hash): Promise<NodeAnswer<Node, Holder[]>> {
    const { server } = node;
    const locating = handled(server.locate([hash]));
    const { nodes } = await server.closest(hash);
    this.#keep(node);
    const contacts = this.#nodesIn(nodes, server);
    const [located] = await Promise.allSettled([locating]);
    if (located.status === "rejected") return { value: null, contacts };
    const byId = new Map(located.value.nodes.map((contact) => [contact.id, contact]));
    const ids = located.value.chunks.flatMap((chunk) => (chunk.hash === hash ? chunk.holders : []));
    const holders = [...new Set(ids)].flatMap((id) => holderOf(byId.get(id), server) ?? []);
    return { value: holders.length === 0 ? null : holders, contacts };
  }

  #nodesIn(contacts: readonly Contact[], teller: Server): Node[] {
    return contacts.flatMap((contact) => {
      const url = directUrl(contact, teller);
      return url === null ? [] : [{ id: contact.id, server: this.#options.nodeAt(url) }];
    });
  }

  #keep(node: Node): void {
    keepNewest(this.#nodes, node.id, node, NODES_KEPT_MAX);
  }
}

function holderOf(contact: Contact | undefined, teller: Server): Holder | null {
  return contact === undefined
    ? null
    : { id: contact.id, routes: routesTo(contact, teller), isResting: false };
}

function keepNewest<K, V>(map: Map<K, V>, key: K, value: V, entriesMax: number): void {
  map.delete(key);
  map.set(key, value);
  const [oldest] = map.keys();
  if (map.size > entriesMax && oldest !== undefined) map.delete(oldest);
}
