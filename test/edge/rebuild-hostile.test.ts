// Nodes that bring back what never was: nothing of it enters the index, and what is true goes on beside it.

import { runInDurableObject, SELF } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { describe, expect, test, vi } from "vitest";
import { IndexClient } from "../../durable-objects/index-client.ts";
import { isDelisted } from "../../lib/durability/standing.ts";
import { type Hash, hashBytes } from "../../lib/hash.ts";
import { parseDomain } from "../../lib/names.ts";
import { NEIGHBOUR_DOMAIN, NEIGHBOUR_KEY_FILL } from "./dns-domains.ts";
import { KeepingNode } from "./keeping-node.ts";
import { DOMAIN, type Kept, makeVersion, OLD_KEY_FILL, shardOf } from "./rebuild-scene.ts";
import { bytesOf, EDGE } from "./test-node.ts";

const hashOf = (words: string) => hashBytes(new TextEncoder().encode(words));

/** Everything that is about the name in its shard. */
async function rowsOf({ nameHash }: Pick<Kept, "nameHash">): Promise<number> {
  return runInDurableObject(shardOf(nameHash), (_, { storage }) => {
    const { versions, removals } = storage.sql
      .exec<{ versions: number; removals: number }>(
        `SELECT (SELECT COUNT(*) FROM versions WHERE name_hash = ?) AS versions,
           (SELECT COUNT(*) FROM removals WHERE name_hash = ?) AS removals`,
        nameHash,
        nameHash,
      )
      .one();
    return versions + removals;
  });
}

/** A node that has `kept`, but for what `spoil` makes of it. */
async function hostile(kept: Kept, spoil: (node: KeepingNode) => void): Promise<KeepingNode> {
  const node = await KeepingNode.create();
  node.keep(kept);
  node.hold(...kept.chunks);
  spoil(node);
  return node;
}

const CASES: [string, () => Promise<Kept>, (node: KeepingNode, kept: Kept) => void][] = [
  [
    "whose signature is of other bytes",
    makeVersion,
    (node, kept) => {
      const bytes = atob(kept.listed.statement).replace('"size":20', '"size":30');
      const id = hashOf(bytes);
      node.statements.clear();
      node.keep({ ...kept, id, listed: { ...kept.listed, statement: btoa(bytes) } });
    },
  ],
  ["signed by a key that DNS does not show", () => makeVersion({ keyFill: OLD_KEY_FILL }), () => undefined],
  ["signed by another domain's key", () => makeVersion({ keyFill: NEIGHBOUR_KEY_FILL }), () => undefined],
  [
    "of another domain than its key's",
    () => makeVersion({ domain: parseDomain(NEIGHBOUR_DOMAIN) }),
    () => undefined,
  ],
  [
    "with something else for its Manifest",
    makeVersion,
    (node, { body }) => node.held.set(body.manifest, bytesOf(100)),
  ],
  ["without its Manifest", makeVersion, (node) => node.held.clear()],
  ["whose Manifest is of another size", () => makeVersion({ changes: { size: 5 } }), () => undefined],
  [
    "that is dated ahead",
    () => makeVersion({ changes: { time: "2090-01-01T00:00:00.000Z" } }),
    () => undefined,
  ],
  [
    "under the id of another",
    makeVersion,
    (node, kept) => {
      node.statements.clear();
      node.keep({ ...kept, id: hashOf("made up") });
    },
  ],
  [
    "in another partition than its name's",
    makeVersion,
    (node, kept) => node.keep({ ...kept, nameHash: hashOf(`elsewhere ${kept.id}`) }),
  ],
  ["that it does not give", makeVersion, (node) => spoilAnswers(node, () => null)],
  ["that is no JSON of a statement", makeVersion, (node) => spoilAnswers(node, () => ({ statement: 1 }))],
  [
    "that is larger than any",
    makeVersion,
    (node, { listed }) =>
      spoilAnswers(node, () => ({ ...listed, delegation: { statement: "A".repeat(3e6), signature: "" } })),
  ],
];

function spoilAnswers(node: KeepingNode, answer: () => unknown): void {
  node.lie = (path) => (path.startsWith("/inventory/statement/") ? answer() : undefined);
}

describe("a statement", () => {
  test.each(CASES)("%s adds nothing", async (_, make, spoil) => {
    const kept = await make();
    const node = await hostile(kept, (one) => spoil(one, kept));
    await node.sync();
    expect(await rowsOf(kept)).toBe(0);
    expect(node.asked.some((path) => path.startsWith("/inventory/statement/"))).toBe(true);
    const name = await SELF.fetch(
      `${EDGE}/obj/${kept.body.domain}/${encodeURIComponent(kept.body.name ?? "")}`,
    );
    expect(name.status).toBe(404);
  });

  test("of another node's is taken from who has all of it, whoever spoiled it first", async () => {
    const kept = await makeVersion();
    await (await hostile(kept, (node) => node.held.clear())).sync();
    await (await hostile(kept, (node) => node.held.set(kept.body.manifest, bytesOf(9)))).sync();
    await (await hostile(kept, () => undefined)).sync();
    expect(await rowsOf(kept)).toBe(1);
  });
});

test("a list that never ends costs one question and a bounded number of statements at a time", async () => {
  const node = await KeepingNode.create();
  node.keep(await makeVersion());
  let pages = 0;
  node.lie = (path) => {
    if (!/^\/inventory\/names\/\d/.test(path)) return undefined;
    const head = (++pages).toString(16).padStart(8, "0");
    const ids = Array.from({ length: 1000 }, (_, i) => `${head}${hashOf(`${i}`).slice(8)}`).sort();
    return { ids, next: ids.at(-1) };
  };
  const before = node.asked.length;
  const nextMs = await node.step();
  const asked = node.asked.slice(before).filter((path) => path.startsWith("/inventory/"));
  expect(asked.length).toBeLessThan(70);
  // Made-up ids cost the edge one refusal each: the next step waits for them.
  expect(nextMs).toBeGreaterThan(20_000);
});

test("20 nodes that claim everything: reads succeed by who has it, and each is delisted within three failures", async () => {
  const versions = await Promise.all(Array.from({ length: 6 }, () => makeVersion()));
  const honest = await KeepingNode.create();
  honest.keep(...versions);
  honest.hold(...versions.flatMap(({ chunks }) => chunks));
  await honest.sync();
  await vi.waitFor(async () => expect(await unseen(versions)).toBe(0), { timeout: 20_000 });
  const chunks: Hash[] = versions.flatMap((version) => version.chunks.map((bytes) => hashBytes(bytes)));
  const liars: KeepingNode[] = [];
  for (let i = 0; i < 20; i++) {
    const liar = await KeepingNode.create(chunks);
    liar.lie = (path) => (path.startsWith("/chunk/") ? null : undefined);
    await liar.sync();
    liars.push(liar);
  }
  for (const { body, bytes } of versions) {
    const response = await SELF.fetch(`${EDGE}/obj/${DOMAIN}/${encodeURIComponent(body.name ?? "")}`);
    expect(hashBytes(new Uint8Array(await response.arrayBuffer()))).toBe(hashBytes(bytes));
  }
  await vi.waitFor(
    async () => {
      const index = new IndexClient(env);
      await index.checkLinks(liars.map(({ id }) => id));
      const members = await index.members(liars.map(({ id }) => id));
      for (const { id } of liars) expect(isDelisted(members.get(id)?.standing ?? 1)).toBe(true);
    },
    { timeout: 40_000, interval: 500 },
  );
});

/** How many of the Versions' payloads nobody was seen to hold. */
async function unseen(versions: Kept[]): Promise<number> {
  const holdings = await new IndexClient(env).holdings(versions.map(({ bytes }) => hashBytes(bytes)));
  return [...holdings.values()].filter(({ checkedMs }) => checkedMs.every((ms) => ms < 0)).length;
}
