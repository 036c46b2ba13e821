// What a shard does with Removals and with authors' Versions, whatever comes first and however often.

import { evictDurableObject } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { describe, expect, test } from "vitest";
import type { NewRemoval } from "../../durable-objects/removals-table.ts";
import type { NewVersion } from "../../durable-objects/versions-table.ts";
import type { Right } from "../../lib/authority.ts";
import { encodeCanonical } from "../../lib/canonical-json.ts";
import { type Hash, hashBytes } from "../../lib/hash.ts";
import { nameHashOf, parseDomain, parseName } from "../../lib/names.ts";
import { leafPrefix, shardName } from "../../lib/overlay/shards.ts";
import { REMOVALS_PER_NAME_MAX } from "../../lib/removal.ts";

const domain = parseDomain("example.org");
const name = parseName("app.iso");
const nameHash = nameHashOf(domain, name);
const bytesOf = (value: string) => new Uint8Array(new TextEncoder().encode(value));
const hashOf = (value: string) => hashBytes(bytesOf(value));
const DOMAIN: Right = { by: "domain-key" };
const AUTHOR: Right = { by: "author-key" };
const delegatedBy = (from: string | null): Right => ({
  by: "delegation",
  delegation: hashOf("delegation"),
  from,
});
let shards = 0;

function newShard() {
  shards++;
  return env.PARTITION_SHARD.getByName(`${shardName(leafPrefix(nameHash, 4))}${"1".repeat(shards)}`);
}

function version(sequence: number, changes: Partial<NewVersion> = {}): NewVersion {
  const id = changes.id ?? hashOf(`version ${sequence}`);
  return {
    ...{ id, nameHash, domain, name, sequence, expires: null, size: sequence },
    previous: sequence === 1 ? null : hashOf(`version ${sequence - 1}`),
    time: `2026-01-01T00:00:0${sequence}.000Z`,
    manifest: hashOf(`manifest ${sequence}`),
    ...{ author: "alice@example.net", key: "key of alice", right: AUTHOR, delegation: null },
    ...{ bytes: bytesOf(`statement ${id}`), signature: `signature ${id}` },
    witness: { bytes: bytesOf(`witness ${id}`), signature: "witness signature" },
    manifestBytes: bytesOf(`manifest bytes ${sequence}`),
    ...changes,
  };
}

function removal(
  what: { through: number } | { versions: Hash[] },
  changes: { right?: Right["by"]; author?: string; reason?: string } = {},
): NewRemoval {
  const { right = "domain-key", author = "owner@example.org", reason = "why" } = changes;
  const body = { type: "holdfast-removal-1", domain, nameHash, author, reason, ...what };
  const bytes = encodeCanonical({ ...body, time: "2026-01-02T00:00:00.000Z" });
  const id = hashBytes(bytes);
  const witness = { bytes: bytesOf(`witness ${id}`), signature: "witness signature" };
  return {
    id,
    nameHash,
    domain,
    author,
    right,
    bytes,
    signature: `signature ${id}`,
    witness,
    delegation: null,
  };
}

const mallory = { author: "mallory@example.net", key: "key of mallory" };

describe("a Removal", () => {
  test("holds against a Version that comes after it, also after an eviction", async () => {
    const shard = newShard();
    expect(await shard.remove([removal({ versions: [version(2).id] })])).toMatchObject([
      { status: "accepted" },
    ]);
    await evictDurableObject(shard);
    await shard.append([version(1), version(2)]);
    expect(await shard.head(domain, nameHash, null)).toMatchObject({ id: version(1).id });
    expect(await shard.head(domain, nameHash, version(2).id)).toEqual({
      removed: { author: "owner@example.org", reason: "why", time: "2026-01-02T00:00:00.000Z" },
    });
    const page = await shard.listName(domain, nameHash, null);
    expect(page).toMatchObject({ versions: [{ id: version(2).id }, { id: version(1).id }], removals: [{}] });
  });

  test("posted twice is applied once, and the first witness stays", async () => {
    const shard = newShard();
    await shard.append([version(1)]);
    const first = removal({ through: 1 });
    await shard.remove([first]);
    await evictDurableObject(shard);
    const again = { ...first, witness: { bytes: bytesOf("later"), signature: "later" } };
    expect(await shard.remove([again])).toMatchObject([{ status: "known", witness: first.witness }]);
    expect((await shard.listName(domain, nameHash, null)).removals).toHaveLength(1);
  });

  test("through a sequence does not reach what comes after it", async () => {
    const shard = newShard();
    await shard.append([version(1)]);
    await shard.remove([removal({ through: 1 })]);
    expect(await shard.append([version(2)])).toMatchObject([{ status: "accepted" }]);
    expect(await shard.head(domain, nameHash, null)).toMatchObject({ id: version(2).id });
  });

  test("makes a look-up say that the whole list is needed, and never just that what is known is the newest", async () => {
    const shard = newShard();
    await shard.append([version(1), version(2)]);
    await shard.remove([removal({ versions: [version(2).id] })]);
    const [found] = await shard.newest([{ domain, nameHash, known: version(2).id }]);
    expect(found).toMatchObject({ version: { id: version(1).id }, hasRemovals: true });
    await shard.remove([removal({ through: 2 })]);
    expect(await shard.newest([{ domain, nameHash }])).toMatchObject([{ version: null, hasRemovals: true }]);
  });

  test("by an author takes back what they published, and nothing else", async () => {
    const shard = newShard();
    const byDomain = version(2, { right: DOMAIN, key: "key of the domain" });
    await shard.append([version(1), byDomain]);
    const own = { right: "author-key", author: "alice@example.net" } as const;
    expect(await shard.remove([removal({ versions: [byDomain.id] }, own)])).toMatchObject([
      { status: "refused", code: "not-found" },
    ]);
    expect(await shard.remove([removal({ through: 2 }, { ...own, author: mallory.author })])).toMatchObject([
      { status: "refused", code: "not-found" },
    ]);
    expect(await shard.remove([removal({ through: 2 }, own)])).toMatchObject([{ status: "accepted" }]);
    expect(await shard.head(domain, nameHash, null)).toMatchObject({ id: byDomain.id });
    expect(await shard.head(domain, nameHash, version(1).id)).toHaveProperty("removed");
  });

  test("of the domain finds room, however many authors have made", async () => {
    const shard = newShard();
    await shard.append([version(1)]);
    const own = (i: number) =>
      removal({ through: 1 }, { right: "author-key", author: "alice@example.net", reason: `${i}` });
    const results = await shard.remove(Array.from({ length: REMOVALS_PER_NAME_MAX }, (_, i) => own(i)));
    expect(results.filter(({ status }) => status === "accepted")).toHaveLength(REMOVALS_PER_NAME_MAX / 2);
    expect(results.at(-1)).toMatchObject({ status: "refused", code: "quota-exceeded" });
    expect(await shard.remove([removal({ through: 1 })])).toMatchObject([{ status: "accepted" }]);
    const { removals } = await shard.listName(domain, nameHash, null);
    expect(removals[0]).toMatchObject({ id: removal({ through: 1 }).id });
  });
});

describe("a name that an author began", () => {
  test("is theirs: of two who begin it at once, one has it", async () => {
    const shard = newShard();
    const other = version(1, { ...mallory, id: hashOf("mallory's") });
    expect(await shard.append([version(1), other])).toMatchObject([
      { status: "accepted" },
      { status: "refused", code: "name-owned" },
    ]);
    await evictDurableObject(shard);
    expect(await shard.append([version(2, mallory)])).toMatchObject([{ code: "name-owned" }]);
    expect(await shard.append([version(2)])).toMatchObject([{ status: "accepted" }]);
  });

  test("takes Versions by the domain's key, by the domain's delegation, and by its author's", async () => {
    const shard = newShard();
    const rights = [DOMAIN, delegatedBy(null), delegatedBy("alice@example.net")];
    const others = rights.map((right, i) => version(i + 2, { ...mallory, right, key: `key ${i}` }));
    expect(await shard.append([version(1), ...others])).toMatchObject(
      Array.from({ length: 4 }, () => ({ status: "accepted" })),
    );
    const foreign = version(5, { ...mallory, right: delegatedBy(mallory.author) });
    expect(await shard.append([foreign])).toMatchObject([{ code: "name-owned" }]);
  });

  test("tells of its first Version beside those that depend on it", async () => {
    const shard = newShard();
    await shard.append([version(1), version(2)]);
    expect(await shard.newest([{ domain, nameHash }])).toMatchObject([
      { version: { id: version(2).id }, first: { id: version(1).id } },
    ]);
    expect(await shard.listName(domain, nameHash, null)).toMatchObject({ first: null });
  });
});

test("a name that the domain began is no author's", async () => {
  const shard = newShard();
  await shard.append([version(1, { right: DOMAIN })]);
  expect(await shard.append([version(2)])).toMatchObject([{ code: "name-owned" }]);
  expect(await shard.append([version(2, { right: delegatedBy(null) })])).toMatchObject([
    { status: "accepted" },
  ]);
  expect(await shard.newest([{ domain, nameHash }])).toMatchObject([{ first: null }]);
});
