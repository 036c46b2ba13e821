// The routing table by itself: who has a place in it, and who loses it.

import { describe, expect, it } from "vitest";
import { isGenuine, type Reachable, reachableBy } from "../../home-node/overlay/reachable.ts";
import {
  FAILED_TRIES_MAX,
  NETWORK_PER_BUCKET_MAX,
  NETWORK_PER_TABLE_MAX,
  RoutingTable,
} from "../../home-node/overlay/routing-table.ts";
import { randomIn } from "../../home-node/overlay/upkeep.ts";
import { type Hash, type NodeId, parseHash, parseNodeId } from "../../lib/hash.ts";
import { formatPublicKeyText, nodeIdOf } from "../../lib/openssh-key.ts";
import { K, sharedBits } from "../../lib/overlay/distance.ts";
import { SeededRandom } from "../random.ts";
import { createSigner, settle } from "./home-node-fixture.ts";

const SELF = parseNodeId("0".repeat(64));
const random = new SeededRandom(20_261_126, "routing table");
const next = () => random.between(0, 2 ** 32 - 1) / 2 ** 32;

/** A table of which the nodes of `dead` do not answer pings. */
function tableOf(dead: ReadonlySet<NodeId> = new Set()): { table: RoutingTable; pinged: NodeId[] } {
  const pinged: NodeId[] = [];
  const ping = async ({ id }: Reachable) => {
    pinged.push(id);
    return !dead.has(id);
  };
  return { table: new RoutingTable({ self: SELF, ping }), pinged };
}

/** A node in this bucket of SELF's. */
function nodeIn(bucket: number): Reachable {
  const id = parseNodeId(randomIn(bucket, SELF, next));
  return { id, key: "", url: `https://${id.slice(0, 16)}.example.net` };
}

/** Each in a network of its own. */
function addAll(table: RoutingTable, nodes: Reachable[]): void {
  for (const node of nodes) table.add(node, node.id);
}

const idsOf = (contacts: readonly { id: NodeId }[]) => contacts.map(({ id }) => id);

describe("the routing table", () => {
  it("answers the 20 closest of what it knows, nearest first, exactly", () => {
    const { table } = tableOf();
    const nodes = Array.from({ length: 15 }, (_, i) => nodeIn(i % 5));
    addAll(table, nodes);
    for (const { id } of nodes) expect(idsOf(table.closest(id))).toEqual(sortedByDistance(id, idsOf(nodes)));
    addAll(
      table,
      Array.from({ length: 40 }, (_, i) => nodeIn(i % 5)),
    );
    expect(table.closest(parseHash("f".repeat(64)))).toHaveLength(K);
  });

  it("does not know itself", () => {
    const { table } = tableOf();
    table.add({ id: SELF, key: "", url: "https://self.example.net" }, "self");
    expect(table.size).toBe(0);
  });

  it("keeps the nodes of a full bucket while they answer, those that were heard last longest", async () => {
    const { table, pinged } = tableOf();
    const first = Array.from({ length: 2 * K }, () => nodeIn(0));
    addAll(table, [...first.slice(0, K), nodeIn(1)]);
    table.answered(first[0] as Reachable);
    table.add(first[K] as Reachable, "another");
    await settle();
    expect(pinged).toEqual(idsOf(first.slice(1, 4)));
    expect(table.size).toBe(K + 1);
    expect(table.has(first[K] as Reachable)).toBe(false);
    expect(table.has(first[0] as Reachable)).toBe(true);
  });

  it("gives a newcomer the place of a node of a full bucket that is dead", async () => {
    const first = Array.from({ length: K }, () => nodeIn(0));
    const { table } = tableOf(new Set(idsOf(first.slice(1, 2))));
    addAll(table, [...first, nodeIn(1)]);
    const newcomer = nodeIn(0);
    table.add(newcomer, "another");
    await settle();
    expect(table.has(first[1] as Reachable)).toBe(false);
    expect(table.has(newcomer)).toBe(true);
    expect(table.size).toBe(K + 1);
  });

  it("forgets a node that failed three times, while others answered", () => {
    const { table } = tableOf();
    const [dead, alive] = [nodeIn(0), nodeIn(1)];
    addAll(table, [dead, alive]);
    for (let tries = 1; tries <= FAILED_TRIES_MAX; tries++) {
      expect(table.has(dead)).toBe(true);
      table.failed(dead);
      table.answered(alive);
    }
    expect(table.has(dead)).toBe(false);
    expect(table.has(alive)).toBe(true);
  });

  it("forgets nobody while nobody answers: it may be the node itself that is cut off", () => {
    const { table } = tableOf();
    const nodes = Array.from({ length: 5 }, (_, i) => nodeIn(i));
    addAll(table, nodes);
    for (let tries = 0; tries < 10; tries++) for (const node of nodes) table.failed(node);
    expect(table.size).toBe(5);
  });

  it("counts a failure at a false URL against nobody, and starts anew after an answer", () => {
    const { table } = tableOf();
    const [node, other] = [nodeIn(0), nodeIn(1)];
    addAll(table, [node, other]);
    for (let tries = 0; tries < 10; tries++) {
      table.failed({ ...node, url: "https://elsewhere.example.net" });
      table.answered(other);
      table.failed(node);
      table.answered(node);
    }
    expect(table.has(node)).toBe(true);
  });

  it("takes two nodes of one network into a bucket, and ten in all", () => {
    const { table } = tableOf();
    for (let i = 0; i < 10; i++) table.add(nodeIn(3), "192.0.2.0/24");
    expect(table.size).toBe(NETWORK_PER_BUCKET_MAX);
    for (let i = 0; i < 100; i++) table.add(nodeIn(i % 20), "192.0.2.0/24");
    expect(table.size).toBe(NETWORK_PER_TABLE_MAX);
    table.add(nodeIn(3), "198.51.100.0/24");
    expect(table.size).toBe(NETWORK_PER_TABLE_MAX + 1);
  });

  it("follows a node that has moved", () => {
    const { table } = tableOf();
    const node = nodeIn(0);
    table.add(node, "192.0.2.0/24");
    const moved = { ...node, url: "https://new.example.net" };
    table.add(moved, "198.51.100.0/24");
    expect(table.entries()).toEqual([{ contact: moved, network: "198.51.100.0/24" }]);
  });
});

describe("a contact that somebody told of", () => {
  it("is asked only where its id is its key's", async () => {
    const [one, other] = [(await createSigner()).key, (await createSigner()).key];
    const contact = { id: nodeIdOf(one), key: formatPublicKeyText(one), url: "https://node.example.net" };
    expect(isGenuine(contact)).toBe(true);
    expect(reachableBy("https://teller.example.net", contact)).toEqual(contact);
    const liar = { ...contact, key: formatPublicKeyText(other) };
    expect(reachableBy("https://teller.example.net", liar)).toBeNull();
  });

  it.each([
    ["http://127.0.0.1:80", null],
    ["https://10.0.0.1", null],
    ["https://node.local", null],
    ["http://node.example.net", null],
    ["https://node.example.net/path", null],
    ["https://node.example.net/", "https://node.example.net"],
  ])("is asked at %s only where the teller may send anybody there", async (url, asked) => {
    const { key } = await createSigner();
    const contact = { id: nodeIdOf(key), key: formatPublicKeyText(key), url };
    expect(reachableBy("https://teller.example.net", contact)?.url ?? null).toBe(asked);
  });
});

describe("a random id of a bucket", () => {
  it("begins with exactly as many bits of the node's own", () => {
    for (const bucket of [0, 1, 7, 8, 100, 255])
      for (let i = 0; i < 20; i++) expect(sharedBits(SELF, randomIn(bucket, SELF, next))).toBe(bucket);
  });
});

/** An independent account of the XOR metric: 256-bit integers. */
function sortedByDistance(target: Hash, ids: NodeId[]): NodeId[] {
  const distance = (id: NodeId) => BigInt(`0x${id}`) ^ BigInt(`0x${target}`);
  return [...ids].sort((a, b) => (distance(a) < distance(b) ? -1 : 1));
}
