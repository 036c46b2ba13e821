// The overlay as a client sees it: from any one home node, or an edge, on to the nodes nearest to a hash, which tell who keeps
// it. What they tell is believed nowhere: chunks are checked by their hash, Versions by their signature.

import pLimit from "p-limit";
import type { Hash, NodeId } from "../hash.ts";
import { closestTo } from "../overlay/distance.ts";
import { type FoundValue, lookup, type NodeAnswer } from "../overlay/lookup.ts";
import { handled } from "../promise.ts";
import type { Contact } from "../wire/nodes.ts";
import { directUrl, HOLDERS_TRIED_MAX, type Holder, mergeRoutes, routesTo } from "./holders.ts";
import type { Server } from "./server.ts";

/** Look-ups under way at once; each asks up to nine nodes at a time. */
export const LOOKUPS_AT_ONCE = 8;
/** A look-up ends when so many nodes told of each of so many holders: a liar alone ends none. */
export const HOLDERS_ENOUGH = 3;
export const TELLERS_ENOUGH = 2;
/** Nodes asked for what they know of one name. */
export const BUNDLE_HOLDERS_MAX = 8;
/** Nodes that answered, kept to begin the next look-up at. */
export const NODES_KEPT_MAX = 2048;
/** Results kept; the oldest goes first. */
export const RESULTS_KEPT_MAX = 4096;

export interface OverlayOptions {
  /** Home nodes, or edges, to begin at. */
  entries: readonly Server[];
  /** Opens a node that others told of. */
  nodeAt: (url: string) => Server;
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
  readonly #results = new Map<Hash, Promise<Holder[]>>();
  #entryNodes: Promise<void> | null = null;

  constructor(options: OverlayOptions) {
    this.#options = options;
  }

  /**
   * Who keeps the chunk of this Content Hash, or the bundle of this Name Hash, as far as nodes told; those first of whom most
   * told. Empty where nobody is found. Never rejects.
   */
  holdersOf(hash: Hash): Promise<Holder[]> {
    const known = this.#results.get(hash);
    if (known !== undefined) return known;
    const found = this.#limit(() => this.#find(hash));
    keepNewest(this.#results, hash, found, RESULTS_KEPT_MAX);
    return found;
  }

  /** Servers that say that they keep the bundle of this Name Hash, each by its first route. */
  async serversKnowing(nameHash: Hash): Promise<Server[]> {
    const holders = await this.holdersOf(nameHash);
    return holders
      .slice(0, BUNDLE_HOLDERS_MAX)
      .flatMap(({ routes: [first] }) => (first === undefined ? [] : [this.#options.nodeAt(first.url)]));
  }

  async #find(hash: Hash): Promise<Holder[]> {
    const start = await this.#start(hash);
    const { values } = await lookup<Node, Holder[]>(hash, start, {
      ask: (node) => this.#ask(node, hash),
      isEnough: (told) =>
        mergeTold(told).filter(({ tellers }) => tellers >= TELLERS_ENOUGH).length >= HOLDERS_ENOUGH,
    });
    return mergeTold(values)
      .slice(0, HOLDERS_TRIED_MAX)
      .map(({ holder }) => holder);
  }

  /** The nearest of the nodes that answered before, and those that edges know. */
  async #start(hash: Hash): Promise<Node[]> {
    this.#entryNodes ??= this.#meetEntries();
    await this.#entryNodes;
    const told = this.#nodes.size > 0 ? [] : await this.#nearestByEdges(hash);
    return closestTo(hash, [...this.#nodes.values(), ...told], ({ id }) => id);
  }

  async #meetEntries(): Promise<void> {
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

/** Each holder once, with how many nodes told of it; those of whom most told first. */
function mergeTold(told: readonly FoundValue<Node, Holder[]>[]): { holder: Holder; tellers: number }[] {
  const byId = new Map<NodeId, { holder: Holder; tellers: number }>();
  for (const { value } of told) {
    for (const { id, routes } of value) {
      const known = byId.get(id) ?? { holder: { id, routes: [], isResting: false }, tellers: 0 };
      known.holder.routes = mergeRoutes(known.holder.routes, routes);
      known.tellers += 1;
      byId.set(id, known);
    }
  }
  return [...byId.values()].sort((a, b) => b.tellers - a.tellers);
}

function keepNewest<K, V>(map: Map<K, V>, key: K, value: V, entriesMax: number): void {
  map.delete(key);
  map.set(key, value);
  const [oldest] = map.keys();
  if (map.size > entriesMax && oldest !== undefined) map.delete(oldest);
}
