// Nodes that lost what they held: what a publish is told that they hold, before any sweep has looked.

import { env } from "cloudflare:workers";
import { expect, test } from "vitest";
import { IndexClient } from "../../durable-objects/index-client.ts";
import { MEMBER_CACHE_MS } from "../../durable-objects/member-cache.ts";
import { type Hash, hashBytes, type NodeId } from "../../lib/hash.ts";
import { parseDomain } from "../../lib/names.ts";
import { leafPrefix, shardName } from "../../lib/overlay/shards.ts";
import { memberReport, reference } from "./test-rows.ts";

const hashOf = (text: string): Hash => hashBytes(new TextEncoder().encode(text));
const domain = parseDomain("example.org");
const [chunk, manifest] = [hashOf("a chunk"), hashOf("a Manifest")];
const index = new IndexClient(env);

async function register(node: NodeId, lostMs: number): Promise<void> {
  const report = memberReport(node, { lostMs });
  for (const prefix of ["", leafPrefix(node, 4)])
    await env.PARTITION_SHARD.getByName(shardName(prefix)).putMember(report);
  // The isolate's own copy of the member.
  await new Promise((resolve) => setTimeout(resolve, MEMBER_CACHE_MS + 10));
}

test("what it held counts for no plan and no commit; what it is given again counts from then on", async () => {
  const [loser, other] = [hashOf("loser") as NodeId, hashOf("other") as NodeId];
  for (const node of [loser, other]) await register(node, 0);
  const held = [loser, other].map((node) => ({ chunk, node, sizeBytes: 10 }));
  const writes = { held, references: [reference({ chunk, manifest, domain })], statements: [] };
  expect((await index.write(writes)).get(chunk)).toEqual(expect.arrayContaining([loser, other]));
  const lostMs = Date.now() + 1;
  await register(loser, lostMs);
  expect((await index.plan([chunk], domain, [])).get(chunk)).toEqual([other]);
  expect((await index.write({ ...writes, held: [] })).get(chunk)).toEqual([other]);
  const again = [{ chunk, node: loser, sizeBytes: 10, lostMs }];
  expect((await index.plan([chunk], domain, again)).get(chunk)).toEqual(
    expect.arrayContaining([loser, other]),
  );
});

test("the last holder that did not give a chunk stays on its list, and counts for no publish until it gives it", async () => {
  const [first, last] = [hashOf("first to fail") as NodeId, hashOf("last to fail") as NodeId];
  for (const node of [first, last]) await register(node, 0);
  const lost = hashOf("a lost chunk");
  const held = [first, last].map((node) => ({ chunk: lost, node, sizeBytes: 10 }));
  await index.write({ held, references: [reference({ chunk: lost, manifest, domain })], statements: [] });
  const planned = async () => (await index.plan([lost], domain, [])).get(lost);
  for (const node of [first, last]) await index.noteChecks([{ chunk: lost, node, code: "missing" }]);
  expect((await index.locate([lost])).get(lost)).toEqual([last]);
  expect(await planned()).toEqual([]);
  await index.noteChecks([{ chunk: lost, node: last, code: "passed" }]);
  expect(await planned()).toEqual([last]);
});
