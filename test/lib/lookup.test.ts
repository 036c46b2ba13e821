// Look-ups over networks in memory, drawn by a seed: who is found, over how many hops, and what liars can do about it.

import { describe, expect, test } from "vitest";
import { type Hash, hashBytes, type NodeId } from "../../lib/hash.ts";
import { closestTo, K, sharedBits } from "../../lib/overlay/distance.ts";
import { ASKED_MAX, type AskNode, HOPS_MAX, lookup } from "../../lib/overlay/lookup.ts";
import { SECOND_OPINIONS_MAX } from "../../lib/overlay/lookup-path.ts";

interface Contact {
  id: NodeId;
}

const text = new TextEncoder();
const hashOf = (words: string) => hashBytes(text.encode(words));
const nodesOf = (count: number, name = "node"): Contact[] =>
  Array.from({ length: count }, (_, i) => ({ id: hashOf(`${name} ${i}`) as NodeId }));

/** mulberry32: the same numbers for the same seed, in every runtime. */
function randomOf(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** A network in which each node knows up to k of each bucket, at random. */
class Network {
  readonly nodes: Contact[];
  readonly #known = new Map<NodeId, Contact[]>();
  readonly liars: ReadonlySet<NodeId>;

  constructor(count: number, seed: number, liarShare = 0) {
    const random = randomOf(seed);
    this.nodes = nodesOf(count, `${seed}`);
    this.liars = new Set(this.nodes.flatMap(({ id }) => (random() < liarShare ? [id] : [])));
    for (const { id } of this.nodes) {
      const buckets = Map.groupBy(this.nodes, (other) => sharedBits(id, other.id));
      const chosen = [...buckets.values()].flatMap((bucket) =>
        bucket
          .map((contact) => ({ contact, at: random() }))
          .sort((a, b) => a.at - b.at)
          .slice(0, K),
      );
      this.#known.set(
        id,
        chosen.map(({ contact }) => contact).filter((contact) => contact.id !== id),
      );
    }
  }

  knownTo(id: NodeId): Contact[] {
    return this.#known.get(id) ?? [];
  }

  closest(target: Hash): Contact[] {
    return closestTo(target, this.nodes, ({ id }) => id);
  }

  /** Honest nodes answer truly; liars have nothing, and name the liars closest to the target, or nearer nodes that are not. */
  ask(
    target: Hash,
    keepers: ReadonlySet<NodeId> = new Set(),
    lie: "friends" | "inventions" = "friends",
  ): AskNode<Contact, true> {
    let invented = 0;
    return async ({ id }) => {
      if (!this.#known.has(id)) throw new Error("nobody is there");
      if (!this.liars.has(id)) {
        const contacts = closestTo(target, this.knownTo(id), (contact) => contact.id);
        return { value: keepers.has(id) ? true : null, contacts };
      }
      if (lie === "inventions") {
        const name = () => `${target.slice(0, 20)}${hashOf(`${id} ${invented++}`).slice(20)}` as NodeId;
        return { value: null, contacts: Array.from({ length: K }, () => ({ id: name() })) };
      }
      const friends = this.nodes.filter((contact) => this.liars.has(contact.id));
      return { value: null, contacts: closestTo(target, friends, (contact) => contact.id) };
    };
  }

  /** Share of 100 values, each kept by the k closest, that are found from a random honest node. */
  async foundShare(lie: "friends" | "inventions", paths?: number): Promise<number> {
    const honest = this.nodes.filter(({ id }) => !this.liars.has(id));
    let found = 0;
    for (let i = 0; i < 100; i++) {
      const target = hashOf(`value ${i}`);
      const keepers = new Set(this.closest(target).map(({ id }) => id));
      const from = honest[(i * 7919) % honest.length] ?? { id: hashOf("none") as NodeId };
      const start = closestTo(target, this.knownTo(from.id), ({ id }) => id);
      const { values } = await lookup(target, start, {
        ask: this.ask(target, keepers, lie),
        ...(paths === undefined ? {} : { paths }),
        self: from.id,
      });
      if (values.length > 0) found += 1;
    }
    return found / 100;
  }
}

describe("a look-up", () => {
  test.each([5, 40, 500])("finds the k closest of %i nodes exactly, from one contact", async (count) => {
    const network = new Network(count, 1);
    for (let i = 0; i < 20; i++) {
      const target = hashOf(`target ${i}`);
      const first = network.nodes[i % count];
      if (first === undefined) throw new Error("no such node");
      const { closest, hops, asked, failed } = await lookup(target, [first], { ask: network.ask(target) });
      expect(closest).toEqual(network.closest(target).slice(0, count));
      expect(hops).toBeLessThanOrEqual(5);
      expect(asked).toBeLessThanOrEqual(3 * (K + 10));
      expect(failed).toBe(0);
    }
  });

  test("passes by nodes that do not answer", async () => {
    const network = new Network(200, 2);
    const target = hashOf("with silence");
    const silent = new Set(network.closest(target).flatMap(({ id }, i) => (i % 2 === 0 ? [id] : [])));
    const ask = network.ask(target);
    const { closest, failed } = await lookup(target, network.nodes.slice(0, 3), {
      ask: async (contact, signal) => {
        if (silent.has(contact.id)) throw new Error("timeout");
        return ask(contact, signal);
      },
    });
    const there = network.nodes.filter(({ id }) => !silent.has(id));
    expect(closest).toEqual(closestTo(target, there, ({ id }) => id));
    expect(failed).toBe(silent.size);
  });

  test.each(["friends", "inventions"] as const)(
    "with a fifth of liars who tell of %s finds what honest nodes keep",
    async (lie) => {
      const shares = { one: 0, three: 0 };
      for (const seed of [1, 2, 3]) {
        const network = new Network(600, seed, 0.2);
        shares.one += (await network.foundShare(lie, 1)) / 3;
        shares.three += (await network.foundShare(lie)) / 3;
      }
      console.log(`${lie}: found by one path ${shares.one}, by three ${shares.three}`);
      expect(shares.three).toBeGreaterThanOrEqual(0.999);
    },
  );

  test("is not ended by friends who are closest and tell of each other only: it asks those whom others told of", async () => {
    const target = hashOf("surrounded");
    const byDistance = closestTo(target, nodesOf(60), ({ id }) => id, 60);
    const [keeper, ...rest] = byDistance;
    const [friends, [witness, first]] = [rest.slice(0, 30), rest.slice(40, 42)];
    if (keeper === undefined || witness === undefined || first === undefined)
      throw new Error("too few nodes");
    const asked: Contact[] = [];
    const found = new AbortController();
    const { values } = await lookup<Contact, true>(target, [first], {
      ...{ paths: 1, parallel: 1, signal: found.signal, onValue: () => found.abort() },
      ask: async (contact) => {
        asked.push(contact);
        if (contact === keeper) return { value: true, contacts: [] };
        if (contact === witness) return { value: null, contacts: [keeper] };
        return {
          value: null,
          contacts: contact === first ? [...friends.slice(0, 1), witness] : friends.slice(0, K),
        };
      },
    });
    expect(values).toMatchObject([{ from: keeper, hops: 3 }]);
    expect(asked.indexOf(witness)).toBeGreaterThan(K / 2);
    expect(asked.length).toBeLessThanOrEqual(K + 1 + SECOND_OPINIONS_MAX);
  });

  test("asks its only contact once more where that does not answer", async () => {
    const [only, other] = nodesOf(2);
    if (only === undefined || other === undefined) throw new Error("too few nodes");
    let tries = 0;
    const answerFrom =
      (first: number): AskNode<Contact, true> =>
      async (contact) => {
        if (contact === other) return { value: true, contacts: [] };
        tries += 1;
        if (tries < first) throw new Error("lost");
        return { value: null, contacts: [other] };
      };
    const found = await lookup(hashOf("x"), [only], { ask: answerFrom(2) });
    expect(found).toMatchObject({ values: [{ from: other, hops: 2 }], asked: 2, failed: 0 });
    tries = 0;
    expect(await lookup(hashOf("x"), [only], { ask: answerFrom(3) })).toMatchObject({ asked: 1, failed: 1 });
    expect(tries).toBe(2);
  });

  test("ends where everybody tells of somebody nearer, and where everybody tells of everybody", async () => {
    const target = hashOf("target");
    let made = 0;
    const endless: AskNode<Contact, never> = async () => ({
      value: null,
      contacts: Array.from({ length: 1000 }, () => ({
        id: `${target.slice(0, 20)}${hashOf(`${made++}`).slice(20)}` as NodeId,
      })),
    });
    const far = await lookup(target, nodesOf(3), { ask: endless });
    expect(far.asked).toBeLessThanOrEqual(ASKED_MAX);
    expect(far.hops).toBeLessThanOrEqual(HOPS_MAX);
    const all = nodesOf(30);
    const round = await lookup(target, all, { ask: async () => ({ value: null, contacts: all }) });
    expect(round.asked).toBeGreaterThanOrEqual(K);
    expect(round.asked).toBeLessThanOrEqual(30);
  });

  test("stops when it is told to, and where nobody is known", async () => {
    const network = new Network(300, 4);
    const target = hashOf("early");
    const everybody = new Set(network.nodes.map(({ id }) => id));
    const ask = network.ask(target, everybody);
    const start = network.nodes.slice(0, 9);
    const enough = new AbortController();
    let heard = 0;
    const onValue = () => {
      heard += 1;
      if (heard === 2) enough.abort();
    };
    const early = await lookup(target, start, { ask, onValue, signal: enough.signal });
    expect(early.values.length).toBeGreaterThanOrEqual(2);
    expect(early.asked).toBeLessThan(12);
    const stopping = new AbortController();
    const stopped = await lookup(target, start, {
      ask: async (contact, signal) => {
        stopping.abort();
        return ask(contact, signal);
      },
      signal: stopping.signal,
    });
    expect(stopped.asked).toBeLessThanOrEqual(9);
    expect(await lookup(target, start, { ask, signal: AbortSignal.abort() })).toMatchObject({ asked: 0 });
    expect(await lookup(target, [], { ask })).toEqual({
      ...{ values: [], closest: [], asked: 0, failed: 0, hops: 0 },
    });
  });

  test("does not ask whoever looks up", async () => {
    const network = new Network(50, 5);
    const [self] = network.nodes;
    if (self === undefined) throw new Error("no node");
    const target = self.id;
    const asked: NodeId[] = [];
    const ask = network.ask(target);
    await lookup(target, network.knownTo(self.id), {
      self: self.id,
      ask: (contact, signal) => {
        asked.push(contact.id);
        return ask(contact, signal);
      },
    });
    expect(asked).not.toContain(self.id);
    expect(new Set(asked).size).toBe(asked.length);
  });
});
