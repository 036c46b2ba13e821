// Provider records by themselves: what is kept of what others say, how much of it, how long, and on disk.

import { pino } from "pino";
import { afterEach, describe, expect, it } from "vitest";
import {
  PROVIDERS_PER_HASH_MAX,
  type Provider,
  ProviderRecords,
  RECORD_LIFETIME_MS,
} from "../../home-node/overlay/provider-records.ts";
import { RecordFile } from "../../home-node/overlay/record-file.ts";
import { RecordTable } from "../../home-node/overlay/record-table.ts";
import { decodeHash, type Hash, parseHash, parseNodeId } from "../../lib/hash.ts";
import { formatPublicKeyText, nodeIdOf } from "../../lib/openssh-key.ts";
import { joinHashes } from "../../lib/wire/overlay.ts";
import { SeededRandom } from "../random.ts";
import { Cleanup, createSigner, ManualClock } from "./home-node-fixture.ts";

const random = new SeededRandom(20_261_126, "records");
const LIMITS = { records: 1000, perProvider: 300, perNetwork: 500, providers: 20 };
const cleanup = new Cleanup();
afterEach(() => cleanup.run());

const hashOf = (): Hash => parseHash(random.bytes(32).toString("hex"));
const hashesOf = (count: number): Hash[] => Array.from({ length: count }, hashOf);

function providerAt(network: string, change: Partial<Provider> = {}): Provider {
  const id = parseNodeId(hashOf());
  return {
    contact: { id, key: "", url: `https://${id.slice(0, 8)}.example.net` },
    network,
    timeMs: 1,
    ...change,
  };
}

function recordsWith(clock = new ManualClock()): ProviderRecords {
  return new ProviderRecords({ clock, random: () => 0.5 }, LIMITS);
}

const keepIn = (records: ProviderRecords, provider: Provider, hashes: Hash[]) =>
  records.keep(provider, joinHashes(hashes));
const holdersOf = (records: ProviderRecords, hash: Hash) => records.holders(hash).map(({ id }) => id);

describe("provider records", () => {
  it("name those that said that they keep a hash, those that are reached directly first", () => {
    const records = recordsWith();
    const [hash, other] = [hashOf(), hashOf()];
    const relayed = providerAt("b");
    relayed.contact = { ...relayed.contact, url: null, relays: ["https://relay.example.net"] };
    const direct = providerAt("a");
    expect(keepIn(records, relayed, [hash])).toBe(1);
    expect(keepIn(records, direct, [hash, other])).toBe(2);
    expect(records.holders(hash)).toEqual([direct.contact, relayed.contact]);
    expect(records.holders(other)).toEqual([direct.contact]);
    expect(records.holders(hashOf())).toEqual([]);
    expect(records.totals).toEqual({ records: 3, nodes: 2 });
  });

  it("end two days after the last word, and their places are used again", async () => {
    const clock = new ManualClock();
    const records = recordsWith(clock);
    const [once, again] = [hashOf(), hashOf()];
    const provider = providerAt("a");
    keepIn(records, provider, [once, again]);
    await clock.advance(RECORD_LIFETIME_MS / 2);
    keepIn(records, provider, [again]);
    await clock.advance(RECORD_LIFETIME_MS / 2);
    expect(records.holders(once)).toEqual([]);
    expect(holdersOf(records, again)).toEqual([provider.contact.id]);
    records.expire();
    expect(records.totals).toEqual({ records: 1, nodes: 1 });
    await clock.advance(RECORD_LIFETIME_MS);
    records.expire();
    expect(records.totals).toEqual({ records: 0, nodes: 0 });
    expect(keepIn(records, providerAt("b"), hashesOf(300))).toBe(300);
  });

  it("follow a node to its new place, and not back to an older one", () => {
    const records = recordsWith();
    const hash = hashOf();
    const provider = providerAt("a", { timeMs: 10 });
    keepIn(records, provider, [hash]);
    const moved = {
      ...provider,
      contact: { ...provider.contact, url: "https://new.example.net" },
      network: "b",
    };
    keepIn(records, { ...moved, timeMs: 20 }, [hash]);
    expect(records.holders(hash)).toEqual([moved.contact]);
    keepIn(records, { ...provider, timeMs: 15 }, [hash]);
    expect(records.holders(hash)).toEqual([moved.contact]);
  });

  it("leave room for others, whatever a node or a network says", () => {
    const records = recordsWith();
    const flood = providerAt("a");
    expect(keepIn(records, flood, hashesOf(1000))).toBe(LIMITS.perProvider);
    expect(keepIn(records, flood, hashesOf(10))).toBe(0);
    expect(keepIn(records, providerAt("a"), hashesOf(1000))).toBe(LIMITS.perNetwork - LIMITS.perProvider);
    expect(keepIn(records, providerAt("a"), hashesOf(1))).toBe(0);
    expect(keepIn(records, providerAt("b"), hashesOf(10))).toBe(10);
  });

  it("keep what they have when they are full, until it ends", async () => {
    const clock = new ManualClock();
    const records = recordsWith(clock);
    const first = hashesOf(300);
    const provider = providerAt("a");
    keepIn(records, provider, first);
    for (const network of ["b", "c", "d"]) keepIn(records, providerAt(network), hashesOf(300));
    expect(records.totals.records).toBe(LIMITS.records);
    expect(keepIn(records, providerAt("e"), hashesOf(5))).toBe(0);
    expect(keepIn(records, provider, first)).toBe(300);
    await clock.advance(RECORD_LIFETIME_MS);
    expect(keepIn(records, providerAt("e"), hashesOf(5))).toBe(5);
    expect(records.totals.records).toBe(5);
  });

  it("name at most twenty nodes for a hash, two of one network, and know so many nodes and no more", () => {
    const records = recordsWith();
    const hash = hashOf();
    for (let i = 0; i < 5; i++) keepIn(records, providerAt("a"), [hash]);
    expect(records.holders(hash)).toHaveLength(2);
    for (let i = 0; i < 30; i++) keepIn(records, providerAt(`network ${i}`), [hash]);
    expect(records.totals.nodes).toBe(LIMITS.providers);
    const wide = new ProviderRecords({ clock: new ManualClock(), random: () => 0 });
    for (let i = 0; i < 30; i++) keepIn(wide, providerAt(`network ${i}`), [hash]);
    expect(wide.holders(hash)).toHaveLength(PROVIDERS_PER_HASH_MAX);
  });

  it("come back from disk as they were", async () => {
    const clock = new ManualClock();
    const dir = await cleanup.directory();
    const file = new RecordFile({ dir, log: pino({ level: "silent" }) });
    expect(await file.load()).toBeNull();
    const records = recordsWith(clock);
    const said = await Promise.all(
      ["a", "b", "c"].map(async (network) => {
        const { key } = await createSigner();
        const contact = { id: nodeIdOf(key), key: formatPublicKeyText(key), url: "https://node.example.net" };
        const hashes = hashesOf(200);
        keepIn(records, { contact, network, timeMs: 5 }, hashes);
        return { contact, hashes };
      }),
    );
    await file.save(records.snapshot());
    const again = recordsWith(clock);
    const loaded = await file.load();
    if (loaded === null) throw new Error("there is a file");
    again.restore(loaded);
    expect(again.totals).toEqual(records.totals);
    for (const { contact, hashes } of said)
      for (const hash of hashes) expect(holdersOf(again, hash)).toEqual([contact.id]);
    await clock.advance(RECORD_LIFETIME_MS);
    again.expire();
    expect(again.totals).toEqual({ records: 0, nodes: 0 });
  });
});

describe("the table of records", () => {
  it("has what a map of sets would have, whatever is added, renewed and ended", () => {
    const table = new RecordTable(5000, 12_345);
    const model = new Map<string, number>();
    const hashes = hashesOf(300);
    for (let step = 0; step < 20_000; step++) {
      const [hash, owner] = [random.pick(hashes), random.between(0, 12)];
      const minute = random.between(1, 100);
      const key = `${hash} ${owner}`;
      const isKnown = table.renew(decodeHash(hash), owner, minute);
      expect(isKnown).toBe(model.has(key));
      if (!isKnown) table.add(decodeHash(hash), owner, minute);
      model.set(key, minute);
      if (step % 4000 !== 3999) continue;
      const removed: number[] = [];
      table.expire(30, (gone) => removed.push(gone));
      const ended = [...model].filter(([, ends]) => ends <= 30);
      for (const [one] of ended) model.delete(one);
      expect(removed.length).toBe(ended.length);
    }
    expect(table.size).toBe(model.size);
    for (const hash of hashes) {
      const owners = [...model].filter(([key, ends]) => key.startsWith(hash) && ends > 50);
      const expected = owners.map(([key]) => Number(key.split(" ")[1]));
      expect(table.ownersOf(decodeHash(hash), 50).sort()).toEqual(expected.sort());
    }
  });
});
