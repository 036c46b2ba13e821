// A shard that splits: its rows are in one child each, whatever changes or fails meanwhile, and there is one owner at any time.

import { runInDurableObject } from "cloudflare:test";
import fc from "fast-check";
import { describe, expect, test, vi } from "vitest";
import { type DomainTotal, recordTotal, usageOf } from "../../durable-objects/charges-table.ts";
import { MOVED_TABLES, type Row } from "../../durable-objects/shard-tables.ts";
import type { TotalOrigin } from "../../durable-objects/total-origins.ts";
import type { Domain } from "../../lib/names.ts";
import { childPrefixes } from "../../lib/overlay/shards.ts";
import {
  addRows,
  domainIn,
  homeOf,
  newLeaf,
  rowsOf,
  rowTexts,
  shardAt,
  splitShard,
  textOf,
} from "./split-scene.ts";
import { index } from "./test-collection.ts";

const PATIENCE = { timeout: 20_000, interval: 50 };

/** Every row is in the child that it belongs to, and in no other; Manifests are where their Versions are. */
async function expectDivided(prefix: string, before: Map<string, Row[]>): Promise<void> {
  const [zero, one] = childPrefixes(prefix);
  const children = new Map([[zero, await rowTexts(zero)] as const, [one, await rowTexts(one)] as const]);
  for (const table of MOVED_TABLES) {
    if (table.home === null) continue;
    const rows = before.get(table.name) ?? [];
    for (const child of [zero, one]) {
      const expected = rows.filter((row) => homeOf(prefix, table, row) === child).map(textOf);
      const found = new Set(children.get(child)?.get(table.name));
      // Their difference, which is short where something is wrong.
      expect(expected.filter((text) => !found.has(text)).slice(0, 4)).toEqual([]);
      expect(found.size).toBe(expected.length);
    }
  }
  for (const child of [zero, one]) {
    const needed = new Set((await rowsOf(child, "versions")).map(({ manifest }) => manifest));
    expect(new Set((await rowsOf(child, "manifests")).map(({ hash }) => hash))).toEqual(needed);
    await expectSums(child);
  }
}

async function expectSums(prefix: string): Promise<void> {
  const sums = new Map<string, [number, number]>();
  for (const { domain: of, size } of await rowsOf(prefix, "charges")) {
    const [bytes, chunks] = sums.get(String(of)) ?? [0, 0];
    sums.set(String(of), [bytes + Number(size), chunks + 1]);
  }
  const totals = (await rowsOf(prefix, "domain_totals")).filter(({ chunks }) => chunks !== 0);
  expect(new Map(totals.map((row) => [row.domain, [row.bytes, row.chunks]]))).toEqual(sums);
}

async function allRows(prefix: string): Promise<Map<string, Row[]>> {
  return new Map(
    await Promise.all(
      MOVED_TABLES.map(async ({ name }): Promise<[string, Row[]]> => [name, await rowsOf(prefix, name)]),
    ),
  );
}

/** Sums that are right, as every shard's are. */
async function sumUp(prefix: string): Promise<void> {
  await runInDurableObject(shardAt(prefix), (_, { storage: { sql } }) => {
    sql.exec("DELETE FROM domain_totals");
    sql.exec(
      "INSERT INTO domain_totals (domain, bytes, chunks, sequence) SELECT domain, SUM(size), COUNT(*), 1 FROM charges GROUP BY domain",
    );
  });
}

describe("the rows of a shard that is split", () => {
  test("are in one child each, where they belong, whatever they are", async () => {
    const seeds = fc.uniqueArray(fc.integer({ min: 0, max: 2 ** 30 }), { maxLength: 40 });
    await fc.assert(
      fc.asyncProperty(seeds, async (some) => {
        const prefix = newLeaf();
        await addRows(prefix, some);
        await sumUp(prefix);
        const before = await allRows(prefix);
        await splitShard(prefix);
        await expectDivided(prefix, before);
      }),
      { numRuns: 6, endOnFailure: true },
    );
  });

  test("go on in further splits, when there are more than a batch takes", async () => {
    const prefix = newLeaf();
    await addRows(
      prefix,
      Array.from({ length: 1200 }, (_, i) => i),
    );
    await sumUp(prefix);
    const before = await allRows(prefix);
    await splitShard(prefix);
    await expectDivided(prefix, before);
    const [child] = childPrefixes(prefix);
    const again = await allRows(child);
    await splitShard(child);
    await expectDivided(child, again);
  });
});

describe("what a domain is charged for", () => {
  const of = "charged.example.org" as Domain;
  const total = (bytes: number, sequence: number, origin?: TotalOrigin): DomainTotal => ({
    ...{ domain: of, bytes, chunks: bytes / 10, sequence },
    ...(origin === undefined ? {} : { origin }),
  });
  const part = (bytes: number, isWhole = false): TotalOrigin => ({
    ...{ shard: "01", bytes, chunks: bytes / 10, isWhole },
  });

  /** Of words in this order, what the ledger sums up after each. */
  async function sums(words: [string, DomainTotal][]): Promise<number[]> {
    return runInDurableObject(shardAt(newLeaf()), (_, { storage: { sql } }) =>
      words.map(([shard, word]) => {
        recordTotal(sql, shard, word);
        const usage = usageOf(sql, of);
        expect(usage.chunks).toBe(usage.bytes / 10);
        return usage.bytes;
      }),
    );
  }

  test("is the same whichever child of a split shard speaks first, and what the parent said late counts no more", async () => {
    const before: [string, DomainTotal] = ["01", total(1000, 5)];
    const zero: [string, DomainTotal] = ["010", total(600, 6, part(600))];
    const one: [string, DomainTotal] = ["011", total(400, 6, part(400))];
    expect(await sums([before, zero, one])).toEqual([1000, 1000, 1000]);
    expect(await sums([before, one, one, before, zero, before])).toEqual(Array(6).fill(1000));
    const late: [string, DomainTotal] = ["01", total(1000, 9)];
    expect(await sums([before, zero, late, one, late])).toEqual(Array(5).fill(1000));
  });

  test("goes on from each child's own sum, also where only one of them has anything, and in further splits", async () => {
    expect(
      await sums([
        ["01", total(1000, 5)],
        ["010", total(1000, 6, part(1000, true))],
        ["010", total(1200, 7, part(1000, true))],
        ["0100", total(500, 8, { ...part(500), shard: "010" })],
        ["0101", total(700, 8, { ...part(700), shard: "010" })],
        ["0101", total(800, 9)],
      ]),
    ).toEqual([1000, 1000, 1200, 1200, 1200, 1300]);
  });

  test("is what the children are charged for when their sums are told", async () => {
    const prefix = newLeaf();
    await addRows(
      prefix,
      Array.from({ length: 50 }, (_, i) => i + 1),
    );
    await sumUp(prefix);
    const domain = domainIn(prefix, "d0");
    const [{ bytes, chunks } = { bytes: 0, chunks: 0 }] = (await rowsOf(prefix, "domain_totals")).filter(
      (row) => row.domain === domain,
    );
    await index.recordTotals([
      { shard: prefix, total: { domain, bytes: Number(bytes), chunks: Number(chunks), sequence: 1 } },
    ]);
    const usage = await index.usage(domain);
    await splitShard(prefix);
    await vi.waitUntil(async () => {
      expect(await index.usage(domain)).toEqual(usage);
      const left = await Promise.all(childPrefixes(prefix).map((child) => rowsOf(child, "total_origins")));
      return left.flat().length === 0;
    }, PATIENCE);
    expect(await index.usage(domain)).toEqual(usage);
  });
});
