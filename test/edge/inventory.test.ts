// What an edge says that it still needs of a node's chunks: to the node itself only, and never so that a publish which is
// under way loses a copy that it was told of.

import { runInDurableObject, SELF } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { beforeAll, describe, expect, test } from "vitest";
import { PIN_LIFETIME_MS } from "../../durable-objects/chunks-table.ts";
import { edgeKey } from "../../durable-objects/edge-key.ts";
import { importSigner } from "../../lib/ed25519.ts";
import type { Hash, NodeId } from "../../lib/hash.ts";
import {
  CHUNKS_PER_INVENTORY_MAX,
  type Inventory,
  inventoryKind,
  parseInventoryAnswer,
} from "../../lib/inventory.ts";
import { createStatementSigner, type StatementSigner } from "../../lib/sshsig.ts";
import { signStatement } from "../../lib/statement.ts";
import { formatSigned } from "../../lib/wire/signed.ts";
import {
  beReborn,
  chunksOf,
  collectAll,
  HOUR_MS,
  hashOf,
  index,
  newDomain,
  Publication,
  passTime,
  shardOf,
} from "./test-collection.ts";
import { EDGE, TestNode } from "./test-node.ts";

// Shards that begin only as they are asked know of nothing.
beforeAll(() => passTime(HOUR_MS));

const isoNow = (offsetMs = 0) => new Date(Date.now() + offsetMs).toISOString();
const chunkRefs = (chunks: Hash[], since = isoNow()) => chunks.map((hash) => ({ hash, since }));

async function post(body: unknown): Promise<{ status: number; json: Record<string, unknown> }> {
  const response = await SELF.fetch(`${EDGE}/chunk/needed`, { method: "POST", body: JSON.stringify(body) });
  return { status: response.status, json: await response.json() };
}

async function inventoryOf(
  node: { id: NodeId; signer: StatementSigner },
  chunks: Hash[],
  change: Partial<Inventory> = {},
  signer = node.signer,
) {
  const { id: edge } = await edgeKey(env.EDGE_KEY);
  const body = { type: inventoryKind.type, node: node.id, edge, chunks: chunkRefs(chunks), time: isoNow() };
  return formatSigned(await signStatement(inventoryKind, { ...body, ...change }, signer));
}

async function ask(node: TestNode, chunks: Hash[], change: Partial<Inventory> = {}): Promise<string[]> {
  const { json } = await post(await inventoryOf(node, chunks, change));
  return parseInventoryAnswer(json, chunks).chunks.map(({ state }) => state);
}

const hold = (node: NodeId, ...chunks: Hash[]) =>
  index.write({
    held: chunks.map((chunk) => ({ chunk, node, sizeBytes: 100 })),
    references: [],
    statements: [],
  });
const holdersOf = async (chunk: Hash) => (await index.locate([chunk])).get(chunk) ?? [];

describe("an inventory", () => {
  test("is answered chunk by chunk; what is released loses the node as holder, and no other node", async () => {
    const [node, other] = [await TestNode.registered(), await TestNode.registered()];
    const domain = newDomain();
    const [needed, unlisted, released, pinned] = chunksOf(`inventory ${domain}`, 4) as [
      Hash,
      Hash,
      Hash,
      Hash,
    ];
    await new Publication(domain, "a", [needed, unlisted]).reference();
    await hold(node.id, needed, released, pinned);
    await hold(other.id, released);
    await index.plan([pinned], domain, []);
    const asked = [needed, unlisted, released, pinned, hashOf("never heard of")];
    const states = ["needed", "unlisted", "released", "needed", "released"];
    expect(await ask(node, asked)).toEqual(states);
    expect(await holdersOf(released)).toEqual([other.id]);
    expect(await holdersOf(needed)).toEqual([node.id]);
    expect(await holdersOf(unlisted)).toEqual([]);
    // Asked again, the same.
    expect(await ask(node, asked)).toEqual(states);
    await passTime(PIN_LIFETIME_MS + HOUR_MS);
    expect(await ask(node, [pinned, needed])).toEqual(["released", "needed"]);
  });

  test("of as many chunks as may be fits, and one more is refused", async () => {
    const node = await TestNode.registered();
    const many = chunksOf("as many as may be", CHUNKS_PER_INVENTORY_MAX);
    expect(new Set(await ask(node, many))).toEqual(new Set(["released"]));
    await expect(inventoryOf(node, [...many, hashOf("one more")])).rejects.toMatchObject({
      code: "invalid-statement",
    });
  });

  test("takes back what a Removal has ended, after the collector has seen it", async () => {
    const node = await TestNode.registered();
    const chunks = chunksOf("taken back", 3);
    const publication = new Publication(newDomain(), "a", chunks);
    await publication.reference(node.id);
    await publication.append();
    await passTime(2 * HOUR_MS);
    await publication.remove();
    expect(await ask(node, chunks)).toEqual(["needed", "needed", "needed"]);
    await collectAll();
    expect(await ask(node, chunks)).toEqual(["released", "released", "released"]);
  });

  test("is answered needed by a shard that is younger than what it is asked about", async () => {
    const node = await TestNode.registered();
    const chunk = hashOf("of a lost index");
    await hold(node.id, chunk);
    await beReborn(chunk);
    const since = (ms: number) => ({ chunks: chunkRefs([chunk], isoNow(ms)) });
    expect(await ask(node, [chunk], since(-HOUR_MS))).toEqual(["needed"]);
    expect(await holdersOf(chunk)).toEqual([node.id]);
    expect(await ask(node, [chunk], since(HOUR_MS))).toEqual(["released"]);
  });

  test("is nobody's but the node's: forged, foreign, late, doubled or unknown, it changes nothing", async () => {
    const node = await TestNode.registered();
    const chunk = hashOf("of the node alone");
    await hold(node.id, chunk);
    const stranger = await TestNode.create();
    const eve = createStatementSigner(await importSigner(new Uint8Array(32).fill(3)));
    const flipped = await inventoryOf(node, [chunk]);
    const signature = flipped.signature.replace(/[A-Za-z]/g, (letter) => (letter === "A" ? "B" : letter));
    const cases = [
      [await inventoryOf(node, [chunk], {}, eve), "key-not-authorized"],
      [await inventoryOf(stranger, [chunk]), "not-found"],
      [await inventoryOf(node, [chunk], { edge: hashOf("another edge") }), "statement-replayed"],
      [await inventoryOf(node, [chunk], { time: isoNow(-6 * 60_000) }), "time-order"],
      [await inventoryOf(node, [chunk], { time: isoNow(6 * 60_000) }), "time-order"],
      [{ ...flipped, signature }, "invalid-signature"],
      [{ ...flipped, more: 1 }, "invalid-request"],
    ] as const;
    for (const [body, code] of cases) expect((await post(body)).json).toMatchObject({ code });
    expect(await holdersOf(chunk)).toEqual([node.id]);
    // Control: as the node says it, it does.
    expect(await ask(node, [chunk])).toEqual(["released"]);
    expect(await holdersOf(chunk)).toEqual([]);
  });

  test("may only be posted", async () => {
    const response = await SELF.fetch(`${EDGE}/chunk/needed`, { method: "PUT" });
    expect([response.status, response.headers.get("allow")]).toEqual([405, "POST"]);
  });
});

/** A node and a publisher over one chunk, which nothing refers to and the node has held for long: in every order. */
describe("a publish and a deletion", () => {
  const ORDERS = ordersOf("ppp", "nn");

  interface Flaws {
    /** The node deletes what came to it again meanwhile. */
    forgetsUploads?: boolean;
    /** The index goes on listing the node. */
    keepsHolder?: boolean;
  }

  /** Whether the publish was acknowledged, and whether the node has the chunk at the end. */
  async function play(order: string, label: string, flaws: Flaws = {}) {
    const node = hashOf(`node of ${label}`) as NodeId;
    const publication = new Publication(newDomain(), "a", [hashOf(label)]);
    const [chunk = node] = publication.chunks;
    await hold(node, chunk);
    let [uploads, uploadsAsked, isReleased, isHeld, isAcknowledged] = [0, 0, false, true, false];
    let toSend = false;
    const publisher = [
      async () => {
        const held = await index.plan([chunk], publication.domain, []);
        toSend = held.get(chunk)?.includes(node) !== true;
      },
      async () => {
        if (!toSend) return;
        uploads += 1;
        isHeld = true;
      },
      async () => {
        const holders = await publication.reference(...(toSend ? [node] : []));
        isAcknowledged = holders.get(chunk)?.includes(node) === true;
      },
    ];
    const keeper = [
      async () => {
        const [state] = await index.takeInventory(node, [{ hash: chunk, since: isoNow() }]);
        isReleased = state === "released";
        uploadsAsked = uploads;
        if (flaws.keepsHolder === true) await hold(node, chunk);
      },
      async () => {
        if (isReleased && (uploads === uploadsAsked || flaws.forgetsUploads === true)) isHeld = false;
      },
    ];
    for (const who of order) await (who === "p" ? publisher : keeper).shift()?.();
    return { isAcknowledged, isHeld };
  }

  test("end with the copy where the publish was acknowledged, in each of ten orders", async () => {
    expect(ORDERS).toHaveLength(10);
    for (const order of ORDERS) {
      const { isAcknowledged, isHeld } = await play(order, `safe ${order}`);
      expect({ order, isAcknowledged }).toEqual({ order, isAcknowledged: true });
      // Sent before the node has deleted it, and so counted: the upload keeps it.
      expect({ order, isHeld }).toEqual({ order, isHeld: true });
    }
  });

  test("lose it, without either defence, in some", async () => {
    for (const flaws of [{ forgetsUploads: true }, { keepsHolder: true }]) {
      const ends = [];
      for (const order of ORDERS)
        ends.push(await play(order, `flawed ${order} ${JSON.stringify(flaws)}`, flaws));
      expect(ends.some(({ isAcknowledged, isHeld }) => isAcknowledged && !isHeld)).toBe(true);
    }
  });

  test("a plan pins what somebody holds, and writes nothing of what nobody does", async () => {
    const node = hashOf("node of a plan") as NodeId;
    const domain = newDomain();
    const [held, fresh] = [hashOf(`${domain} held`), hashOf(`${domain} fresh`)];
    await index.plan([], domain, [{ chunk: held, node, sizeBytes: 1 }]);
    await index.plan([held, fresh], domain, []);
    const pins = (chunk: Hash) =>
      runInDurableObject(shardOf(chunk), (_, { storage }) =>
        storage.sql.exec("SELECT 1 FROM pins WHERE chunk = ?", chunk).toArray(),
      );
    expect([await pins(held), await pins(fresh)].map(({ length }) => length)).toEqual([1, 0]);
  });

  test("also with the pin gone: the publish is refused, or the copy stays", async () => {
    const node = hashOf("node without a pin") as NodeId;
    const publication = new Publication(newDomain(), "a", [hashOf("without a pin")]);
    const [chunk = node] = publication.chunks;
    await hold(node, chunk);
    expect((await index.plan([chunk], publication.domain, [])).get(chunk)).toEqual([node]);
    await passTime(PIN_LIFETIME_MS + HOUR_MS);
    expect(await index.takeInventory(node, [{ hash: chunk, since: isoNow() }])).toEqual(["released"]);
    expect((await publication.reference()).get(chunk)).toEqual([]);
    expect(await shardOf(chunk).locate([chunk])).toMatchObject([{ chunk, holders: [] }]);
  });
});

/** All orders of two runs of steps, each run in its own order. */
function ordersOf(one: string, other: string): string[] {
  if (one === "" || other === "") return [one + other];
  return [
    ...ordersOf(one.slice(1), other).map((rest) => one.slice(0, 1) + rest),
    ...ordersOf(one, other.slice(1)).map((rest) => other.slice(0, 1) + rest),
  ];
}
