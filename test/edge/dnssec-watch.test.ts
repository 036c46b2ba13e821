// What the edge remembers of DNSSEC, in real shards: a domain that was seen with it does not silently come without.

import { evictDurableObject, runInDurableObject } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { describe, expect, test } from "vitest";
import { DNSSEC_NAMES_MAX, noteDnssec } from "../../durable-objects/dnssec-table.ts";
import {
  createDnssecStates,
  createDnssecWatch,
  DNSSEC_RECHECK_MS,
} from "../../durable-objects/dnssec-watch.ts";
import { IndexClient } from "../../durable-objects/index-client.ts";
import { keyRecordName } from "../../lib/domain-keys.ts";
import { formatKeyRecords } from "../../lib/domain-records.ts";
import { hashBytes } from "../../lib/hash.ts";
import { parseDomain } from "../../lib/names.ts";
import { encodePublicKeyBlob } from "../../lib/openssh-key.ts";
import { leafPrefix, shardName } from "../../lib/overlay/shards.ts";
import { SERVFAIL, testResolver, type Zone } from "../lib/test-resolver.ts";

const DAY_MS = 24 * 3600 * 1000;
const [KEY = ""] = formatKeyRecords({ blob: encodePublicKeyBlob(new Uint8Array(32).fill(1)), emails: [] });
let domains = 0;

const shardOf = (name: string) =>
  env.PARTITION_SHARD.getByName(shardName(leafPrefix(hashBytes(new TextEncoder().encode(name)), 4)));

/** One isolate of the edge, and a domain whose zone may be changed. */
function edge(zones: Zone[], domain = parseDomain(`d${++domains}.test`)) {
  const index = new IndexClient(env);
  const dohUrls = zones.map((_, i) => `https://r${i}.test/dns-query`);
  const { clock, ...dns } = testResolver((url) => zones[dohUrls.indexOf(url)] ?? {}, { dohUrls });
  const counts = { calls: 0 };
  const watched = {
    settings: { ...index.settings, dohUrls },
    noteDnssec: (sight: Parameters<IndexClient["noteDnssec"]>[0]) => {
      counts.calls += 1;
      return index.noteDnssec(sight);
    },
  };
  const isolate = () =>
    createDnssecWatch({
      resolver: dns,
      index: watched,
      states: createDnssecStates(),
      now: () => clock.nowMs,
    });
  return { isolate, domain, clock, counts, shard: shardOf(keyRecordName(domain)) };
}

describe("a domain that was seen with DNSSEC", () => {
  test("and comes without is refused for writes, and read with a warning; back with it, all is well", async () => {
    const zone: Zone = { texts: [KEY], ttl: 0, ad: true };
    const { isolate, domain } = edge([zone]);
    const watch = isolate();
    await watch.resolve(domain);
    zone.ad = false;
    await expect(watch.resolve(domain)).rejects.toMatchObject({
      code: "dnssec-lost",
      message: expect.stringContaining("DNSSEC_MEMORY_DAYS"),
    });
    const { problems, keys } = await watch.resolve(domain, { for: "read" });
    expect(keys).toHaveLength(1);
    expect(problems).toEqual([expect.stringContaining("was seen with DNSSEC")]);
    zone.ad = true;
    expect((await watch.resolve(domain)).problems).toEqual([]);
  });

  test("is remembered by other isolates, and after the shard was evicted", async () => {
    const zone: Zone = { texts: [KEY], ttl: 0, ad: true };
    const { isolate, domain, shard } = edge([zone]);
    await isolate().resolve(domain);
    zone.ad = false;
    await evictDurableObject(shard);
    await expect(isolate().resolve(domain)).rejects.toMatchObject({ code: "dnssec-lost" });
  });

  test("has its authors' names remembered by themselves", async () => {
    const zone: Zone = { texts: [KEY], ttl: 0, ad: true };
    const { isolate, domain } = edge([zone]);
    const watch = isolate();
    await watch.resolveAuthor(`alice@${domain}`);
    zone.ad = false;
    await expect(watch.resolveAuthor(`alice@${domain}`)).rejects.toMatchObject({ code: "dnssec-lost" });
    expect((await watch.resolveAuthor(`bob@${domain}`)).keys).toHaveLength(1);
  });

  test("is not thought lost by the word of one resolver that does not validate", async () => {
    const zones: Zone[] = [
      { texts: [KEY], ttl: 0, ad: true },
      { texts: [KEY], ttl: 0, ad: true },
    ];
    const { isolate, domain } = edge(zones);
    await isolate().resolve(domain);
    zones[0] = { rcode: SERVFAIL };
    zones[1] = { texts: [KEY], ttl: 0 };
    expect((await isolate().resolve(domain, { for: "read" })).problems).toEqual([]);
    await expect(isolate().resolve(domain)).rejects.toMatchObject({ code: "dns-failed" });
  });
});

describe("the shard", () => {
  test("is asked once for a state that stays, and again after five minutes", async () => {
    const zone: Zone = { texts: [KEY], ttl: 0 };
    const { isolate, domain, clock, counts } = edge([zone]);
    const watch = isolate();
    for (let i = 0; i < 5; i++) await watch.resolve(domain);
    expect(counts.calls).toBe(1);
    clock.nowMs += DNSSEC_RECHECK_MS;
    await watch.resolve(domain);
    expect(counts.calls).toBe(2);
    zone.ad = true;
    await watch.resolve(domain);
    expect(counts.calls).toBe(3);
  });

  test("takes an unsigned domain that it never saw signed for what it is, and keeps nothing", async () => {
    const { isolate, domain, shard } = edge([{ texts: [KEY], ttl: 0 }]);
    expect((await isolate().resolve(domain)).problems).toEqual([]);
    await runInDurableObject(shard, (_, { storage }) => {
      const rows = storage.sql.exec("SELECT * FROM dnssec WHERE name = ?", keyRecordName(domain)).toArray();
      expect(rows).toEqual([]);
    });
  });

  test("forgets after the time set, and for good; at once where that is nothing", async () => {
    const memoryMs = 14 * DAY_MS;
    await runInDurableObject(shardOf("forgetting"), (_, { storage: { sql } }) => {
      const note = (isValidated: boolean, nowMs: number, ms = memoryMs) =>
        noteDnssec(sql, { name: "_holdfast.a.test", isValidated }, nowMs, ms);
      const start = Date.UTC(2026, 0, 1);
      expect(note(true, start)).toBe(false);
      expect(note(false, start + memoryMs - 1)).toBe(true);
      expect(note(false, start + memoryMs)).toBe(false);
      expect(note(false, start)).toBe(false);
      expect(note(true, start)).toBe(false);
      expect(note(false, start + 1, 0)).toBe(false);
      expect(note(false, start + 1)).toBe(false);
    });
  });

  test("remembers longer what it sees again", async () => {
    await runInDurableObject(shardOf("again"), (_, { storage: { sql } }) => {
      const note = (isValidated: boolean, nowMs: number) =>
        noteDnssec(sql, { name: "_holdfast.b.test", isValidated }, nowMs, 14 * DAY_MS);
      note(true, 0);
      note(true, 13 * DAY_MS);
      expect(note(false, 20 * DAY_MS)).toBe(true);
    });
  });

  test("is not filled by strangers' names: those that it knows stay, and there are no more than so many", async () => {
    await runInDurableObject(shardOf("crowded"), (_, { storage }) => {
      const { sql } = storage;
      const note = (name: string, isValidated: boolean, nowMs: number) =>
        noteDnssec(sql, { name, isValidated }, nowMs, 14 * DAY_MS);
      storage.transactionSync(() => {
        sql.exec("DELETE FROM dnssec");
        for (let i = 0; i < DNSSEC_NAMES_MAX; i++) note(`_holdfast.c${i}.test`, true, i);
      });
      note("_holdfast.newcomer.test", true, DAY_MS);
      expect(note("_holdfast.newcomer.test", false, DAY_MS)).toBe(false);
      expect(note("_holdfast.c0.test", false, DAY_MS)).toBe(true);
      note("_holdfast.newcomer.test", true, 14 * DAY_MS + 5000);
      expect(note("_holdfast.newcomer.test", false, 14 * DAY_MS + 5000)).toBe(true);
      sql.exec("DELETE FROM dnssec");
    });
  });
});
