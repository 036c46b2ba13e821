// Searches for whoever gives what a hash names, over networks in memory: who is offered, in what order, and how little false
// holders can do about it.

import { describe, expect, test } from "vitest";
import { type Hash, hashBytes, type NodeId } from "../../lib/hash.ts";
import { closestTo, hashesElsewhere, K } from "../../lib/overlay/distance.ts";
import {
  FAILED_TOLD_MAX,
  HolderSearch,
  OFFERED_AT_ONCE,
  OFFERED_MAX,
  TELLINGS_ENOUGH,
} from "../../lib/overlay/holder-search.ts";
import { PARALLEL, PATHS } from "../../lib/overlay/lookup.ts";

interface Node {
  id: NodeId;
}

/** A node that is asked: whom it names as holders, and whom it knows. */
interface Asked extends Node {
  holders: readonly Node[];
  knows: readonly Node[];
}

const text = new TextEncoder();
const nodesOf = (count: number, name: string): Node[] =>
  Array.from({ length: count }, (_, i) => ({ id: hashBytes(text.encode(`${name} ${i}`)) as NodeId }));
const target = hashBytes(text.encode("target"));
const nearest = (nodes: readonly Node[], hash: Hash = target) => closestTo(hash, nodes, ({ id }) => id);

class Network {
  readonly #nodes = new Map<NodeId, Asked>();
  /** Who was asked for the target, in order. */
  readonly asked: NodeId[] = [];
  readonly askedElsewhere: Hash[] = [];

  add(nodes: readonly Node[], holders: readonly Node[], knows: readonly Node[]): void {
    for (const { id } of nodes) this.#nodes.set(id, { id, holders, knows });
  }

  search(start: readonly Node[], merge?: (known: Node, told: Node) => Node): HolderSearch<Node, Node> {
    return new HolderSearch<Node, Node>(target, {
      start: () => start,
      ask: async ({ id }) => {
        this.asked.push(id);
        const { holders, knows } = this.#at(id);
        return { value: holders.length === 0 ? null : holders, contacts: nearest(knows) };
      },
      closest: async ({ id }, hash) => {
        this.askedElsewhere.push(hash);
        return nearest(this.#at(id).knows, hash);
      },
      ...(merge === undefined ? {} : { merge }),
    });
  }

  #at(id: NodeId): Asked {
    const node = this.#nodes.get(id);
    if (node === undefined) throw new Error("nobody is there");
    return node;
  }
}

/** Until `isRight`, or until no more are offered: all that were tried, in order. */
async function tryHolders(
  search: HolderSearch<Node, Node>,
  isRight: (node: Node) => boolean,
): Promise<NodeId[]> {
  const tried: NodeId[] = [];
  for (;;) {
    const found = await search.more(tried.length);
    if (found.length === 0) return tried;
    expect(found.length).toBeLessThanOrEqual(OFFERED_AT_ONCE);
    for (const { holder } of found) {
      tried.push(holder.id);
      if (isRight(holder)) return tried;
    }
  }
}

describe("a search", () => {
  test("offers what several told of, and asks nobody else until more are wanted", async () => {
    const network = new Network();
    const nodes = nodesOf(60, "node");
    const holders = nodesOf(3, "holder");
    network.add(nodes, holders, nodes);
    const search = network.search(nodes.slice(0, PATHS));
    const first = await search.more(0);
    expect(new Set(first.map(({ holder }) => holder))).toEqual(new Set(holders));
    expect(first.every(({ hops }) => hops === 1)).toBe(true);
    await new Promise((resolve) => setTimeout(resolve, 10));
    const askedFirst = network.asked.length;
    expect(askedFirst).toBeGreaterThanOrEqual(TELLINGS_ENOUGH / holders.length);
    expect(askedFirst).toBeLessThanOrEqual(PATHS + PATHS * PARALLEL);
    // Another who asks is told the same, at once.
    expect(await search.more(0)).toEqual(first);
    expect(network.asked).toHaveLength(askedFirst);
    expect(await search.more(3)).toEqual([]);
    expect(network.asked.length).toBeGreaterThan(K);
    expect(new Set(network.asked).size).toBe(network.asked.length);
  });

  test("puts those first of whom most told", async () => {
    const network = new Network();
    const nodes = nodesOf(3, "node");
    const [rare, common, usual] = nodesOf(3, "holder") as [Node, Node, Node];
    network.add(nodes.slice(0, 1), [rare, common, usual], nodes);
    network.add(nodes.slice(1, 2), [usual, common], nodes);
    network.add(nodes.slice(2, 3), [common], nodes);
    expect(await tryHolders(network.search(nodes), () => false)).toEqual([common.id, usual.id, rare.id]);
  });

  test("gets by liars who agree on who holds it, after a few tries", async () => {
    const network = new Network();
    const honest = nodesOf(100, "honest");
    const liars = nodesOf(25, "liar");
    const friends = nodesOf(K, "friend");
    const [keeper] = nodesOf(1, "keeper") as [Node];
    const around = nearest(honest);
    const all = [...honest, ...liars];
    network.add(honest, [], all);
    // Friends have told the honest ones, too, that they keep it.
    network.add(around, [...friends.slice(0, 3), keeper], all);
    network.add(liars, friends, liars);
    const tried = await tryHolders(
      network.search(liars.slice(0, 2).concat(honest.slice(0, 1))),
      ({ id }) => id === keeper.id,
    );
    expect(tried.at(-1)).toBe(keeper.id);
    expect(tried.length).toBeLessThanOrEqual(OFFERED_AT_ONCE + FAILED_TOLD_MAX + 2);
  });

  test("offers whom only one told of when the look-up has ended", async () => {
    const network = new Network();
    const nodes = nodesOf(50, "node");
    const [one] = nearest(nodes) as [Node];
    const holders = nodesOf(2, "holder");
    network.add(nodes, [], nodes);
    network.add([one], holders, nodes);
    expect(new Set(await tryHolders(network.search(nodes.slice(0, 1)), () => false))).toEqual(
      new Set(holders.map(({ id }) => id)),
    );
  });

  test("asks its first contact for nodes elsewhere where that knows only liars around the target", async () => {
    const network = new Network();
    const liars = nodesOf(30, "liar");
    const honest = nodesOf(40, "honest");
    const [keeper, first] = nodesOf(2, "other") as [Node, Node];
    // Nearest to the target come liars; nearest to hashes elsewhere, honest nodes.
    const near = liars.map(({ id }) => ({ id: `${target.slice(0, 4)}${id.slice(4)}` as NodeId }));
    const far = hashesElsewhere(target).flatMap((hash) =>
      honest.map(({ id }) => ({ id: `${hash.slice(0, 4)}${id.slice(4)}` as NodeId })),
    );
    network.add(near, [], near);
    network.add(far, [keeper], far);
    network.add([first], [], [...near, ...far]);
    const search = network.search([first]);
    expect((await search.more(0)).map(({ holder, hops }) => ({ id: holder.id, hops }))).toEqual([
      { id: keeper.id, hops: 2 },
    ]);
    expect(network.askedElsewhere).toEqual(hashesElsewhere(target));
  });

  test("offers so many, and no more, whatever is invented", async () => {
    const network = new Network();
    const nodes = nodesOf(40, "node");
    for (const [i, node] of nodes.entries()) network.add([node], nodesOf(K, `invented ${i}`), nodes);
    const tried = await tryHolders(network.search(nodes.slice(0, 3)), () => false);
    expect(tried).toHaveLength(OFFERED_MAX);
    expect(new Set(tried).size).toBe(OFFERED_MAX);
  });

  test("puts together what nodes tell of one holder, and ends where nobody is known or answers", async () => {
    const network = new Network();
    const nodes = nodesOf(4, "node");
    const [holder] = nodesOf(1, "holder") as [Node];
    for (const [i, node] of nodes.entries())
      network.add([node], [Object.assign({ told: [i] }, holder)], nodes);
    const merge = (known: Node, told: Node) => {
      const toldBy = [known, told].flatMap((one) =>
        "told" in one && Array.isArray(one.told) ? one.told : [],
      );
      return { ...known, told: toldBy };
    };
    const [found] = await network.search(nodes, merge).more(0);
    expect(found?.holder).toMatchObject({ id: holder.id, told: expect.arrayContaining([0, 1, 2, 3]) });
    expect(await network.search([]).more(0)).toEqual([]);
    expect(await network.search(nodesOf(2, "gone")).more(0)).toEqual([]);
  });
});
