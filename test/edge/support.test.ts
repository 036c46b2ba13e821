// Who keeps a domain alive: what nodes pledge to it, what they keep of it, and the quota that follows from pledges. Once each,
// whatever is repeated, late, doubled or evicted.

import { evictDurableObject, runDurableObjectAlarm, runInDurableObject, SELF } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { describe, expect, test, vi } from "vitest";
import { IndexClient } from "../../durable-objects/index-client.ts";
import { DOMAINS_TOLD_MAX, KEEPERS_TOLD_MAX } from "../../durable-objects/keepers-table.ts";
import type { MemberReport } from "../../durable-objects/members-table.ts";
import { QuotaRoom, quotaOf } from "../../durable-objects/quota.ts";
import { type Hash, hashBytes, type NodeId } from "../../lib/hash.ts";
import { type Domain, parseDomain } from "../../lib/names.ts";
import { formatPublicKeyText } from "../../lib/openssh-key.ts";
import { placeReplicas } from "../../lib/overlay/placement.ts";
import { shardName } from "../../lib/overlay/shards.ts";
import { parseEdgeStatus } from "../../lib/wire/status.ts";
import { supportOf } from "../../workers/supporters.ts";
import { EDGE, TestNode } from "./test-node.ts";
import { memberReport, reference } from "./test-rows.ts";

const HOUR_MS = 3_600_000;
const hashOf = (text: string): Hash => hashBytes(new TextEncoder().encode(text));
const index = new IndexClient(env);
const root = env.PARTITION_SHARD.getByName(shardName(""));
let made = 0;
const newDomain = () => parseDomain(`s${++made}.example.org`);
const newNode = () => hashOf(`supporter ${++made}`) as NodeId;

async function addMember(changes: Partial<MemberReport>, id = newNode()): Promise<NodeId> {
  await root.putMember(memberReport(id, { sinceMs: Date.now(), ...changes }));
  return id;
}

async function setStanding(id: NodeId, standing: number): Promise<void> {
  await runInDurableObject(root, (_, { storage }) => {
    storage.sql.exec("UPDATE members SET standing = ? WHERE id = ?", standing, id);
  });
}

/** Has the root shard forget what it holds in memory. */
const evictRoot = () => evictDurableObject(root);

describe("a member", () => {
  test("is a newcomer from the first time that it is seen, whatever it says later", async () => {
    const id = await addMember({});
    const firstSeen = async () => {
      const [member] = await root.members([id]);
      if (member === undefined) throw new Error("expected a member");
      return member.firstSeenMs;
    };
    const seenMs = await firstSeen();
    expect(Math.abs(Date.now() - seenMs)).toBeLessThan(60_000);
    await addMember({ epoch: 2, sinceMs: 1, domains: [newDomain()] }, id);
    await evictRoot();
    expect(await firstSeen()).toBe(seenMs);
  });

  test("of a week ago is placed like others, and of today once for each chunk: placement over real rows", async () => {
    const domain = newDomain();
    const [old, young] = [[1, 2, 3, 4].map(newNode), [1, 2, 3, 4, 5, 6, 7, 8].map(newNode)];
    for (const id of [...old, ...young]) await addMember({ domains: [domain] }, id);
    await runInDurableObject(root, (_, { storage }) => {
      for (const id of old) storage.sql.exec("UPDATE members SET first_seen = 1 WHERE id = ?", id);
    });
    for (let i = 0; i < 40; i++) {
      const chunk = hashOf(`placed ${i}`);
      const { members } = await root.closest(chunk, 500);
      const request = {
        chunk,
        sizeBytes: 1,
        domain,
        count: 3,
        taken: new Set<string>(),
        avoid: new Set<NodeId>(),
      };
      const rest = { holders: [], hoursYield: false, nowMs: Date.now() };
      const chosen = placeReplicas({ ...request, ...rest }, members);
      expect(chosen).toHaveLength(3);
      expect(chosen.filter((id) => young.includes(id)).length).toBeLessThanOrEqual(1);
    }
  });
});

describe("what is pledged to a domain", () => {
  test("is an even part of each pledge that lists it; a pledge to all is for none in particular", async () => {
    const [domain, other] = [newDomain(), newDomain()];
    await addMember({ domains: [domain], pledgedBytes: 1000 });
    await addMember({ domains: [domain, other], pledgedBytes: 500 });
    await addMember({ domains: [other], pledgedBytes: 7 });
    await addMember({ domains: "all", pledgedBytes: 1e12 });
    // Written like it, and another.
    await addMember({
      domains: [parseDomain(`x${domain}`), parseDomain(`${domain}.net`)],
      pledgedBytes: 1e9,
    });
    expect(await index.pledges(domain)).toMatchObject({ pledgedBytes: 1250, supporters: 2 });
    expect(await index.pledges(other)).toMatchObject({ pledgedBytes: 257, supporters: 2 });
    await evictRoot();
    expect(await index.pledges(domain)).toMatchObject({ pledgedBytes: 1250, supporters: 2 });
  });

  test("is seen as soon as it is said, again and again, and no more once it is taken back", async () => {
    const domain = newDomain();
    const id = await addMember({ domains: [domain], pledgedBytes: 100 });
    expect(await index.pledges(domain)).toMatchObject({ pledgedBytes: 100 });
    await addMember({ domains: [domain], pledgedBytes: 300 }, id);
    await addMember({ domains: [domain], pledgedBytes: 300 }, id);
    expect(await index.pledges(domain)).toMatchObject({ pledgedBytes: 300, supporters: 1 });
    await addMember({ domains: [newDomain()], pledgedBytes: 300 }, id);
    expect(await index.pledges(domain)).toMatchObject({ pledgedBytes: 0, supporters: 0 });
  });

  test("does not count while the node is gone, leaving, or did not keep what it had", async () => {
    const domain = newDomain();
    const member = { domains: [domain], pledgedBytes: 100 };
    await addMember({ ...member, online: false, sinceMs: Date.now() - 2 * HOUR_MS });
    await addMember({ ...member, leaving: true });
    const fallen = await addMember(member);
    await setStanding(fallen, 0.4);
    expect(await index.pledges(domain)).toMatchObject({ pledgedBytes: 0, supporters: 0 });
    // The controls: offline within the grace, away as announced, and standing well enough.
    await addMember({ ...member, online: false, sinceMs: Date.now() - HOUR_MS / 2 });
    const away = { online: false, sinceMs: Date.now() - 9 * HOUR_MS, awayUntilMs: Date.now() + HOUR_MS };
    await addMember({ ...member, ...away });
    await setStanding(fallen, 0.5);
    await evictRoot();
    expect(await index.pledges(domain)).toMatchObject({ pledgedBytes: 300, supporters: 3 });
  });
});

describe("a quota that follows pledges", () => {
  const pledgedTo = (domain: Domain) =>
    new IndexClient({ ...env, QUOTA_BYTES: "5", DOMAIN_QUOTAS: `${domain}=pledged` });
  const chunk = (size: number) => [{ hash: hashOf(`chunk of ${size}`), size }];

  test("lets a domain have what its supporters pledge, each byte three times, and no more", async () => {
    const domain = newDomain();
    const limited = pledgedTo(domain);
    expect(quotaOf(limited, domain)).toBe("pledged");
    const before = await QuotaRoom.of(limited, domain);
    expect(() => before?.take(chunk(1))).toThrowError(expect.objectContaining({ code: "quota-exceeded" }));
    await addMember({ domains: [domain], pledgedBytes: 2000 });
    await addMember({ domains: [domain], pledgedBytes: 1000 });
    expect((await supportOf(limited, domain)).usage).toEqual({
      ...{ bytes: 0, chunks: 0, quotaBytes: 1000, pledgedBytes: 3000, supporters: 2 },
    });
    (await QuotaRoom.of(limited, domain))?.take(chunk(1000));
    const room = await QuotaRoom.of(limited, domain);
    expect(() => room?.take(chunk(1001))).toThrowError(expect.objectContaining({ code: "quota-exceeded" }));
  });

  test("holds for all domains where the operator says so, beside fixed ones", async () => {
    const [domain, fixed] = [newDomain(), newDomain()];
    const limited = new IndexClient({ ...env, QUOTA_BYTES: "pledged", DOMAIN_QUOTAS: `${fixed}=70` });
    await addMember({ domains: [domain, fixed], pledgedBytes: 600 });
    expect((await supportOf(limited, domain)).usage.quotaBytes).toBe(100);
    expect((await supportOf(limited, fixed)).usage.quotaBytes).toBe(70);
    expect((await supportOf(index, domain)).usage.quotaBytes).toBe(null);
  });

  test("is no number and not that word: the setting is refused", () => {
    for (const QUOTA_BYTES of ["pledge", "PLEDGED", "1e9", "-1"]) {
      expect(() => new IndexClient({ ...env, QUOTA_BYTES })).toThrowError(/QUOTA_BYTES/);
    }
  });
});

/** Chunks in all of the 16 shards, each held by these nodes. */
async function hold(domain: Domain, nodes: NodeId[], count = 64): Promise<Hash[]> {
  const chunks = Array.from({ length: count }, (_, i) => hashOf(`${domain} ${nodes.join()} ${i}`));
  await index.write({
    held: chunks.flatMap((chunk) => nodes.map((node) => ({ chunk, node, sizeBytes: 10 }))),
    references: chunks.map((chunk) => reference({ chunk, manifest: hashOf("m"), domain })),
    statements: [],
  });
  return chunks;
}

const allShards = Array.from({ length: 16 }, (_, i) =>
  env.PARTITION_SHARD.getByName(shardName(i.toString(2).padStart(4, "0"))),
);

async function runAlarms(): Promise<void> {
  for (const shard of allShards) await runDurableObjectAlarm(shard);
}

async function evictShards(): Promise<void> {
  for (const shard of allShards) {
    await shard.locate([]);
    await evictDurableObject(shard);
  }
}

describe("those who keep a domain's chunks", () => {
  test("are counted over all shards, once, after evictions and alarms that come twice", async () => {
    const domain = newDomain();
    const [much, some] = [await addMember({ name: "Ada's attic" }), await addMember({})];
    await hold(domain, [much], 64);
    await hold(domain, [much, some], 32);
    await evictShards();
    const told = async () => {
      await runAlarms();
      await runAlarms();
      return (await index.keepers(domain)).length === 2 && (await index.keepers(domain))[0]?.chunks === 96;
    };
    await vi.waitUntil(told, { timeout: 20_000, interval: 200 });
    await evictShards();
    expect(await index.keepers(domain)).toEqual([
      { node: much, chunks: 96, bytes: 960 },
      { node: some, chunks: 32, bytes: 320 },
    ]);
    const { supporters, usage } = await supportOf(index, domain);
    expect(usage).toMatchObject({ bytes: 960, chunks: 96, supporters: 0 });
    expect(supporters).toMatchObject([
      { id: much, name: "Ada's attic", chunks: 96, bytes: 960, pledgedBytes: 0, online: true },
      { id: some, name: null, chunks: 32 },
    ]);
  });

  test("rank before those who only pledge, and who did not keep what they had comes last", async () => {
    const domain = newDomain();
    const pledge = { domains: [domain], pledgedBytes: 100 };
    const [keeper, fallen] = [await addMember({}), await addMember({ ...pledge, pledgedBytes: 1e6 })];
    const [talker, louder] = [await addMember(pledge), await addMember({ ...pledge, pledgedBytes: 200 })];
    await hold(domain, [keeper, fallen], 16);
    await setStanding(fallen, 0.1);
    await evictRoot();
    const listed = async () => (await supportOf(index, domain)).supporters;
    await vi.waitUntil(
      async () => {
        await runAlarms();
        return (await listed())[0]?.chunks === 16;
      },
      { timeout: 20_000, interval: 200 },
    );
    expect((await listed()).map(({ id }) => id)).toEqual([keeper, louder, talker, fallen]);
    expect((await listed()).map(({ pledgedBytes }) => pledgedBytes)).toEqual([0, 200, 100, 0]);
  });

  test("are told of more domains than one telling takes, and of the most that keep each", async () => {
    const nodes = Array.from({ length: KEEPERS_TOLD_MAX + 5 }, newNode);
    const domains = Array.from({ length: DOMAINS_TOLD_MAX + 5 }, newDomain);
    // All in one shard.
    const chunk = `0${hashOf("crowded").slice(1)}` as Hash;
    await index.write({
      held: nodes.map((node) => ({ chunk, node, sizeBytes: 10 })),
      references: domains.map((domain) => reference({ chunk, manifest: hashOf("m"), domain })),
      statements: [],
    });
    const all = async () => {
      await runAlarms();
      const counts = await Promise.all(domains.map(async (domain) => (await index.keepers(domain)).length));
      return counts.every((count) => count === KEEPERS_TOLD_MAX);
    };
    await vi.waitUntil(all, { timeout: 20_000, interval: 200 });
  });
});

describe("the status", () => {
  test("lists the domains that are charged for most, with what is pledged to them, and names that were said", async () => {
    const [rich, poor] = [newDomain(), newDomain()];
    const { id, signer } = await TestNode.create();
    const said = { key: formatPublicKeyText(signer.key), name: "Ada's attic" };
    await addMember({ ...said, domains: [rich], pledgedBytes: 30_000 }, id);
    await hold(rich, [id], 500);
    await hold(poor, [id], 400);
    const status = await vi.waitUntil(
      async () => {
        await runAlarms();
        // Only nodes with real keys pass the parser: others' rows are this file's own.
        await runInDurableObject(root, (_, { storage }) => {
          storage.sql.exec("DELETE FROM members WHERE key LIKE 'key of %'");
        });
        const answer = parseEdgeStatus(await (await SELF.fetch(`${EDGE}/status`)).json());
        return answer.domains[1]?.domain === poor ? answer : null;
      },
      { timeout: 20_000, interval: 200 },
    );
    expect(status.domains.slice(0, 2)).toEqual([
      { domain: rich, bytes: 5000, pledgedBytes: 30_000, supporters: 1, ratio: 2 },
      { domain: poor, bytes: 4000, pledgedBytes: 0, supporters: 0, ratio: 0 },
    ]);
    expect(status.members).toMatchObject([{ id, name: "Ada's attic" }]);
  });
});
