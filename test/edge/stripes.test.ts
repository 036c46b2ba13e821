// Objects in stripes: reads with losses, what a commit takes for held, and where a plan puts the chunks of a stripe.

import { env, SELF } from "cloudflare:test";
import { beforeAll, describe, expect, test } from "vitest";
import { IndexClient } from "../../durable-objects/index-client.ts";
import type { Member } from "../../durable-objects/members-table.ts";
import { RequiredChunks } from "../../durable-objects/required-chunks.ts";
import { type Hash, hashBytes, parseNodeId } from "../../lib/hash.ts";
import type { ChunkList, ChunkRef, Striping } from "../../lib/manifest.ts";
import { parseDomain, parseName } from "../../lib/names.ts";
import { placeStripe } from "../../workers/stripe-placement.ts";
import { bytesOf, EDGE } from "./test-node.ts";
import { publishStriped, STRIPED_CHUNK_BYTES, TestHolder } from "./test-objects.ts";

const DOMAIN = parseDomain("striped.example");
const SCHEME: Striping = { data: 3, parity: 2 };
const POSITIONS = 5;

/** The object's chunks are all distinct: no period of the bytes is one of a chunk. */
const BYTES = bytesOf(4 * STRIPED_CHUNK_BYTES + 1234);

async function startHolders(count = POSITIONS): Promise<TestHolder[]> {
  return Promise.all(Array.from({ length: count }, () => TestHolder.create()));
}

function read(name: string, range?: string): Promise<Response> {
  const headers = range === undefined ? {} : { range };
  return SELF.fetch(`${EDGE}/obj/${DOMAIN}/${name}`, { headers });
}

describe("an object in stripes of 3+2, read from /obj", () => {
  let count = 0;
  async function publishOne() {
    const name = parseName(`object-${++count}`);
    const holders = await startHolders();
    // A name's chunks are its own: nothing comes from what was read before.
    const bytes = BYTES.map((byte, i) => (i % STRIPED_CHUNK_BYTES === 0 ? count : byte));
    await publishStriped({ domain: DOMAIN, name, bytes }, SCHEME, holders);
    return { name, holders, bytes };
  }

  test("comes from the holders of its data where they are there", async () => {
    const { name, holders, bytes } = await publishOne();
    const response = await read(name);
    expect(hashBytes(new Uint8Array(await response.arrayBuffer()))).toBe(hashBytes(bytes));
    const [, , , ...parity] = holders;
    // The last stripe has two data chunks: its first parity chunk is kept by the third holder.
    expect(parity.map(({ reads }) => reads)).toEqual([0, 0]);
  });

  test.each([[[0]], [[0, 1]], [[1, 4]], [[2, 3]]])("comes whole with the holders %j gone", async (gone) => {
    const { name, holders, bytes } = await publishOne();
    for (const i of gone) holders[i]?.forget();
    const response = await read(name);
    expect(response.status).toBe(200);
    expect(hashBytes(new Uint8Array(await response.arrayBuffer()))).toBe(hashBytes(bytes));
  });

  test("gives a range of a chunk that is gone", async () => {
    const { name, holders, bytes } = await publishOne();
    holders[1]?.forget();
    const start = STRIPED_CHUNK_BYTES;
    const response = await read(name, `bytes=${start + 5}-${start + 104}`);
    expect(response.status).toBe(206);
    expect(new Uint8Array(await response.arrayBuffer())).toEqual(bytes.slice(start + 5, start + 105));
  });

  test("is right where two of the holders give other bytes", async () => {
    const { name, holders, bytes } = await publishOne();
    holders[0]?.spoil();
    holders[3]?.spoil();
    const response = await read(name);
    expect(hashBytes(new Uint8Array(await response.arrayBuffer()))).toBe(hashBytes(bytes));
  });

  test("is refused with no-holder where three are gone", async () => {
    const { name, holders } = await publishOne();
    for (const holder of holders.slice(0, 3)) holder.forget();
    const response = await read(name);
    expect(response.status).toBe(503);
    expect(await response.json()).toMatchObject({
      code: "no-holder",
      detail: expect.stringContaining("of the 3 others of its stripe"),
    });
  });
});

describe("a commit of stripes", () => {
  const index = new IndexClient(env);
  let holders: TestHolder[];

  beforeAll(async () => {
    holders = await startHolders(POSITIONS + 1);
  });

  /** Whether a Manifest's stripes count as held, with chunks kept by the holders of these numbers; by position. */
  async function check(keepers: number[][], redundancy: Striping, seed: number): Promise<string> {
    const refs: ChunkRef[] = [];
    for (const [position, its] of keepers.entries()) {
      const bytes = bytesOf(1000, seed * 10 + position);
      for (const i of its) await holders[i]?.hold(bytes);
      refs.push({ hash: hashBytes(bytes), size: bytes.length });
    }
    const { data } = redundancy;
    const list: ChunkList = { chunks: refs.slice(0, data), parity: refs.slice(data) };
    const holdings = await index.locate(refs.map(({ hash }) => hash));
    const members = await index.members([...holdings.values()].flat());
    const required = new RequiredChunks(redundancy);
    required.addList(hashBytes(new Uint8Array([seed])), list);
    try {
      required.checkHeld(DOMAIN, holdings, members);
      return "held";
    } catch (error) {
      return String(error);
    }
  }

  test("takes each chunk on a node of its own for held", async () => {
    expect(await check([[0], [1], [2], [3], [4]], SCHEME, 1)).toBe("held");
  });

  test("finds the node that each position can have, where a node keeps several chunks", async () => {
    expect(await check([[0, 5], [0], [1, 0], [1, 2], [2, 3]], SCHEME, 2)).toBe("held");
    expect(await check([[0, 1], [0], [1, 0], [1, 2], [2, 3]], SCHEME, 3)).toContain("4 have one");
  });

  test("refuses two chunks of a stripe on one node, and a chunk that nobody keeps", async () => {
    expect(await check([[0], [0], [1], [2], [3]], SCHEME, 4)).toContain(
      "of its stripe's 5 chunks 4 have one",
    );
    expect(await check([[0], [1], [2], [3], []], SCHEME, 5)).toContain("has no failure domain of its own");
  });

  test("asks as many nodes for one chunk as it has positions, and says so in its references", async () => {
    const bytes = bytesOf(500, 99);
    const ref = { hash: hashBytes(bytes), size: bytes.length };
    const required = new RequiredChunks({ data: 4, parity: 2 });
    const [manifest, part] = [hashBytes(new Uint8Array([1])), hashBytes(new Uint8Array([2]))];
    required.addManifest(manifest);
    required.addManifest(part);
    required.addList(part, { chunks: [ref], parity: [ref, ref] });
    const version = { manifest, domain: DOMAIN, nameHash: manifest };
    expect(required.references(version)).toEqual([
      { ...version, chunk: ref.hash, copies: 3, listedIn: part },
      { ...version, chunk: manifest, copies: 3, listedIn: null },
      { ...version, chunk: part, copies: 3, listedIn: null },
    ]);
    const held = async () => {
      const holdings = await index.locate([ref.hash]);
      for (const whole of [manifest, part])
        holdings.set(
          whole,
          holders.slice(0, 3).map(({ id }) => id),
        );
      const members = await index.members([...holdings.values()].flat());
      return () => required.checkHeld(DOMAIN, holdings, members);
    };
    for (const holder of holders.slice(0, 2)) await holder.hold(bytes);
    expect(await held()).toThrow(expect.objectContaining({ code: "not-held" }));
    await holders[2]?.hold(bytes);
    expect(await held()).not.toThrow();
  });
});

describe("a plan of a stripe", () => {
  const chunk = (i: number): Hash => hashBytes(new Uint8Array([7, i]));
  const member = (i: number, failureDomain = `domain-${i}`): Member => ({
    id: parseNodeId(hashBytes(new Uint8Array([i]))),
    ...{ key: "", url: null, failureDomain, domains: "all", pledgedBytes: 1e9, freeBytes: 1e9, online: true },
    ...{
      epoch: 1,
      sinceMs: 0,
      awayUntilMs: null,
      leaving: false,
      lostMs: 0,
      name: null,
      firstSeenMs: 0,
      standing: 1,
      ...{ onlineMs: 0, chunks: null, servedBytes: 0, hours: null, shards: 0 },
    },
  });
  const members = Array.from({ length: 8 }, (_, i) => member(i));
  const plan = (stripe: Hash[], keeping: [Hash, Member[]][], sent: Hash[], candidates = members) =>
    placeStripe({
      ...{ domain: DOMAIN, stripe, keeping: new Map(keeping), avoid: new Set() },
      placeable: new Map(sent.map((hash) => [hash, { sizeBytes: 10, candidates }])),
    });

  test("sends each chunk to a failure domain of its own", () => {
    const stripe = [0, 1, 2, 3, 4].map(chunk);
    const placed = [...plan(stripe, [], stripe).values()];
    expect(placed.map(({ send }) => send.length)).toEqual([1, 1, 1, 1, 1]);
    expect(new Set(placed.flatMap(({ send }) => send.map(({ failureDomain }) => failureDomain))).size).toBe(
      5,
    );
  });

  test("keeps clear of those that keep earlier chunks of the stripe", () => {
    const stripe = [0, 1, 2].map(chunk);
    const [a, b] = members;
    if (a === undefined || b === undefined) throw new RangeError("there are members");
    const placed = plan(
      stripe,
      [
        [chunk(0), [a]],
        [chunk(1), [b]],
      ],
      [chunk(2)],
      members.slice(0, 3),
    );
    expect(placed.get(chunk(2))?.send).toEqual([members[2]]);
    const none = plan(
      stripe,
      [
        [chunk(0), [a]],
        [chunk(1), [b]],
      ],
      [chunk(2)],
      members.slice(0, 2),
    );
    expect(none.get(chunk(2))).toEqual({ held: [], send: [] });
  });

  test("sends a chunk again whose only holder stands for another one", () => {
    const stripe = [0, 1].map(chunk);
    const [a] = members;
    if (a === undefined) throw new RangeError("there are members");
    const placed = plan(
      stripe,
      [
        [chunk(0), [a]],
        [chunk(1), [a]],
      ],
      stripe,
      members.slice(0, 2),
    );
    expect(placed.get(chunk(0))).toEqual({ held: [a], send: [] });
    expect(placed.get(chunk(1))).toEqual({ held: [], send: [members[1]] });
  });

  test("sends a chunk at three positions to as many", () => {
    const placed = plan([chunk(0), chunk(0), chunk(0)], [], [chunk(0)]);
    expect(new Set(placed.get(chunk(0))?.send.map(({ id }) => id)).size).toBe(3);
  });
});
