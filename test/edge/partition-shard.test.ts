import { evictDurableObject } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { describe, expect, test } from "vitest";
import type { MemberReport } from "../../durable-objects/members-table.ts";
import type { NewVersion } from "../../durable-objects/versions-table.ts";
import { type Hash, hashBytes, type NodeId } from "../../lib/hash.ts";
import { nameHashOf, parseDomain, parseName } from "../../lib/names.ts";
import { closestTo } from "../../lib/overlay/distance.ts";
import { leafPrefix, shardName } from "../../lib/overlay/shards.ts";
import { memberReport, reference } from "./test-rows.ts";

const domain = parseDomain("example.org");
const otherDomain = parseDomain("example.net");
const name = parseName("app.iso");
const nameHash = nameHashOf(domain, name);
const text = (value: string) => new Uint8Array(new TextEncoder().encode(value));
const hashOf = (value: string) => hashBytes(text(value));
let shards = 0;

/** A shard of the test's own: names are free, so a test gets a fresh object. */
function newShard(prefix = leafPrefix(nameHash, 4)) {
  shards++;
  return env.PARTITION_SHARD.getByName(`${shardName(prefix)}${"0".repeat(shards)}`);
}

function version(sequence: number, changes: Partial<NewVersion> = {}): NewVersion {
  const id = changes.id ?? hashOf(`version ${sequence}`);
  return {
    id,
    nameHash,
    domain,
    name,
    sequence,
    previous: sequence === 1 ? null : hashOf(`version ${sequence - 1}`),
    time: `2026-01-01T00:00:0${sequence}.000Z`,
    expires: null,
    manifest: hashOf(`manifest ${sequence}`),
    size: sequence,
    author: "a@example.org",
    key: "key a",
    bytes: text(`statement ${id}`),
    signature: `signature ${id}`,
    witness: { bytes: text(`witness ${id}`), signature: "witness signature" },
    manifestBytes: text(`manifest bytes ${sequence}`),
    right: { by: "domain-key" },
    delegation: null,
    ...changes,
  };
}

function member(i: number, changes: Partial<MemberReport> = {}): MemberReport {
  const id = hashOf(`node ${i}`) as NodeId;
  return memberReport(id, { key: `key ${i}`, failureDomain: `10.0.${i}.0/24`, sinceMs: i, ...changes });
}

describe("a condition on the newest Version", () => {
  test("lets one of two publishers win who have seen the same Version", async () => {
    const shard = newShard();
    await shard.append([version(1)]);
    const second = (key: string) => version(2, { id: hashOf(`second by ${key}`), key, ifMatch: true });
    const results = await Promise.all([shard.append([second("key a")]), shard.append([second("key b")])]);
    expect(results.flat().map(({ status }) => status)).toEqual(["accepted", "refused"]);
    expect(results[1]).toMatchObject([{ code: "precondition-failed" }]);
  });

  test("may be that there is none yet", async () => {
    const shard = newShard();
    const first = (key: string) => version(1, { id: hashOf(`first by ${key}`), key, ifMatch: true });
    const results = await shard.append([first("key a"), first("key b")]);
    expect(results.map(({ status }) => status)).toEqual(["accepted", "refused"]);
  });

  test("does not stand in the way of the same Version sent again", async () => {
    const shard = newShard();
    const first = version(1, { ifMatch: true });
    await shard.append([first]);
    await shard.append([version(2)]);
    expect(await shard.append([first])).toMatchObject([{ status: "known" }]);
  });

  test("is only made where it is asked for: without it, siblings are kept", async () => {
    const shard = newShard();
    await shard.append([version(1)]);
    const results = await shard.append([version(2), version(2, { id: hashOf("sibling"), key: "key b" })]);
    expect(results.map(({ status }) => status)).toEqual(["accepted", "accepted"]);
  });
});

describe("a look-up with the Version that the asker has", () => {
  test("says no more than that it is the newest, where it is", async () => {
    const shard = newShard();
    await shard.append([version(1), version(2)]);
    const ask = (known: Hash) => ({ domain, nameHash, known });
    const [newest, older, unknown] = await shard.newest([
      ask(hashOf("version 2")),
      ask(hashOf("version 1")),
      { ...ask(hashOf("version 2")), domain: otherDomain },
    ]);
    expect(newest).toBe("known");
    expect(older).toMatchObject({ version: { id: hashOf("version 2") } });
    expect(unknown).toBeNull();
  });

  test("is answered in full where the newest one expires: it may have run out", async () => {
    const shard = newShard();
    await shard.append([version(1, { expires: "2026-01-02T00:00:00.000Z" })]);
    const [newest] = await shard.newest([{ domain, nameHash, known: hashOf("version 1") }]);
    expect(newest).toMatchObject({ version: { id: hashOf("version 1") } });
  });
});

describe("Versions in a shard", () => {
  test("are appended in order, and come back newest first with the newest Manifest, also after an eviction", async () => {
    const shard = newShard();
    expect(await shard.append([version(1), version(2)])).toMatchObject([
      { status: "accepted" },
      { status: "accepted" },
    ]);
    await evictDurableObject(shard);
    expect(await shard.append([version(3)])).toMatchObject([{ status: "accepted" }]);
    await evictDurableObject(shard);
    const page = await shard.listName(domain, nameHash, null);
    expect(page.versions.map(({ id }) => id)).toEqual([3, 2, 1].map((sequence) => version(sequence).id));
    expect(page.versions[0]).toMatchObject({ bytes: version(3).bytes, signature: version(3).signature });
    expect(page.manifest).toEqual(version(3).manifestBytes);
    expect(await shard.head(domain, nameHash, null)).toMatchObject({ id: version(3).id });
    expect(await shard.head(domain, nameHash, version(1).id)).toMatchObject({
      manifest: version(1).manifest,
    });
  });

  test("posted twice are stored once, and the first witness stays", async () => {
    const shard = newShard();
    await shard.append([version(1)]);
    await evictDurableObject(shard);
    const again = { ...version(1), witness: { bytes: text("later"), signature: "later" } };
    expect(await shard.append([again])).toMatchObject([{ status: "known", witness: version(1).witness }]);
    expect((await shard.listName(domain, nameHash, null)).versions).toHaveLength(1);
  });

  test("that leave a gap, or name an unknown parent, are refused and nothing is stored", async () => {
    const shard = newShard();
    await shard.append([version(1)]);
    const gap = version(3, { previous: version(1).id });
    const orphan = version(2, { previous: hashOf("nothing") });
    const older = version(2, { time: "2025-01-01T00:00:00.000Z" });
    expect(await shard.append([gap, orphan, older])).toMatchObject([
      { status: "refused", code: "sequence-gap" },
      { status: "refused", code: "unknown-previous" },
      { status: "refused", code: "time-order" },
    ]);
    expect((await shard.listName(domain, nameHash, null)).versions).toHaveLength(1);
  });

  test("by one key at one sequence are a fork; by two keys they are siblings, and both are kept", async () => {
    const shard = newShard();
    const fork = version(1, { id: hashOf("fork") });
    const sibling = version(1, { id: hashOf("sibling"), key: "key b", time: "2026-01-01T00:00:09.000Z" });
    expect(await shard.append([version(1), fork, sibling])).toMatchObject([
      { status: "accepted" },
      { status: "refused", code: "fork" },
      { status: "accepted" },
    ]);
    const { versions } = await shard.listName(domain, nameHash, null);
    expect(versions.map(({ id }) => id)).toEqual([sibling.id, version(1).id]);
  });

  test("of one domain never touch another's list under the same Name Hash", async () => {
    const shard = newShard();
    const foreign = version(1, { id: hashOf("foreign"), domain: otherDomain });
    await shard.append([version(1), foreign]);
    expect((await shard.listName(domain, nameHash, null)).versions.map(({ id }) => id)).toEqual([
      version(1).id,
    ]);
    expect(await shard.append([version(2, { domain: otherDomain })])).toMatchObject([
      { code: "unknown-previous" },
    ]);
  });

  test("without a name are listed, and not served as an object", async () => {
    const shard = newShard();
    await shard.append([version(1, { name: null })]);
    const page = await shard.listName(domain, nameHash, null);
    expect(page).toMatchObject({ versions: [{ id: version(1).id }], manifest: version(1).manifestBytes });
    expect(await shard.head(domain, nameHash, null)).toBeNull();
  });

  test("come in pages that join without a gap or an overlap", async () => {
    const shard = newShard();
    const ids = Array.from({ length: 300 }, (_, i) => hashOf(`page ${i}`));
    const all = ids.map((id, i) =>
      version(i + 1, {
        id,
        previous: ids[i - 1] ?? null,
        time: "2026-01-01T00:00:00.000Z",
        manifest: hashOf("same"),
      }),
    );
    await shard.append(all);
    const listed: Hash[] = [];
    for (let before: Hash | null = null; ; ) {
      const { versions, hasMore } = await shard.listName(domain, nameHash, before);
      listed.push(...versions.map(({ id }) => id));
      before = listed.at(-1) ?? null;
      expect(hasMore).toBe(listed.length < ids.length);
      if (!hasMore) break;
    }
    expect(listed).toEqual(ids.toReversed());
    expect(await shard.listName(domain, nameHash, ids[0] ?? null)).toMatchObject({
      versions: [],
      hasMore: false,
    });
  });
});

describe("chunks in a shard", () => {
  const [chunk, manifest] = [hashOf("chunk"), hashOf("manifest")];
  const held = [1, 2, 2].map((i) => ({ chunk, node: hashOf(`node ${i}`) as NodeId, sizeBytes: 10 }));

  test("list each holder once, whatever is repeated, also after an eviction", async () => {
    const shard = newShard();
    for (let i = 0; i < 2; i++) {
      const { holdings } = await shard.write({
        held,
        references: [reference({ chunk, manifest, domain })],
        statements: [],
      });
      expect(holdings).toEqual([
        {
          chunk,
          holders: expect.arrayContaining(held.slice(0, 2).map(({ node }) => node)),
          checkedMs: [0, 0],
          sinceMs: [expect.any(Number), expect.any(Number)],
        },
      ]);
      expect(holdings[0]?.holders).toHaveLength(2);
      await evictDurableObject(shard);
    }
    expect((await shard.locate([chunk, manifest])).map(({ holders }) => holders.length)).toEqual([2, 0]);
  });

  test("a statement is found by its id alone", async () => {
    const shard = newShard();
    const place = { id: version(1).id, nameHash, domain };
    await shard.write({ held: [], references: [], statements: [place, place] });
    expect(await shard.findStatement(place.id)).toEqual(place);
    expect(await shard.findStatement(hashOf("other"))).toBeNull();
  });
});

describe("members of a shard", () => {
  test("the closest are exact among a thousand", async () => {
    const shard = newShard("");
    const members = Array.from({ length: 1000 }, (_, i) => member(i));
    for (const one of members) await shard.putMember(one);
    for (const target of [hashOf("t1"), hashOf("t2"), members[7]?.id ?? hashOf("t3")]) {
      const expected = closestTo(target, members, ({ id }) => id, 20).map(({ id }) => id);
      const { members: found, complete } = await shard.closest(target, 20);
      expect(found.map(({ id }) => id)).toEqual(expected);
      expect(complete).toBe(false);
    }
  });

  test("an older connection's word about a node changes nothing", async () => {
    const shard = newShard("");
    await shard.putMember(member(1, { epoch: 2 }));
    await shard.putMember(member(1, { epoch: 1, online: false }));
    expect((await shard.closest(hashOf("t"), 20)).members).toHaveLength(1);
    await evictDurableObject(shard);
    await shard.putMember(member(1, { epoch: 2, online: false }));
    expect(await shard.closest(hashOf("t"), 20)).toEqual({ members: [], complete: true, crowded: [] });
    expect(await shard.members([member(1).id])).toMatchObject([{ online: false, epoch: 2 }]);
  });
});
