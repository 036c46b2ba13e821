import { SELF } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { expect, test } from "vitest";
import type { MemberReport } from "../../durable-objects/members-table.ts";
import { type Hash, hashBytes, type NodeId } from "../../lib/hash.ts";
import { formatPublicKeyText } from "../../lib/openssh-key.ts";
import { leafPrefix, shardName } from "../../lib/overlay/shards.ts";
import type { PledgeHours } from "../../lib/pledge.ts";
import { type LocateAnswer, parseLocateAnswer } from "../../lib/wire/chunks.ts";
import { bytesOf, EDGE, TestNode } from "./test-node.ts";
import { memberReport } from "./test-rows.ts";

const chunkOf = (seed: number) => hashBytes(bytesOf(100, seed));

/** From an hour that is over to one that has not come. */
function otherHours(): PledgeHours {
  const at = (hours: number) => new Date(Date.now() + hours * 3_600_000).toISOString().slice(11, 16);
  return { from: at(6), to: at(12) };
}

async function addHolder(changes: Partial<MemberReport>, chunk: Hash): Promise<NodeId> {
  const { id, signer } = await TestNode.create();
  const held = [{ chunk, node: id, sizeBytes: 100 }];
  const shard = env.PARTITION_SHARD.getByName(shardName(leafPrefix(chunk, 4)));
  await shard.write({ held, references: [], statements: [] });
  await env.PARTITION_SHARD.getByName(shardName("")).putMember(
    memberReport(id, { key: formatPublicKeyText(signer.key), ...changes }),
  );
  return id;
}

async function locate(chunk: Hash): Promise<LocateAnswer> {
  const body = JSON.stringify({ chunks: [chunk] });
  const response = await SELF.fetch(`${EDGE}/chunk/locate`, { method: "POST", body });
  return parseLocateAnswer(await response.json());
}

test("holders are listed with those that are online first, and it is said which are", async () => {
  const chunk = chunkOf(7);
  const [offline, online] = [await addHolder({ online: false }, chunk), await addHolder({}, chunk)];
  const answer = await locate(chunk);
  expect(answer.chunks).toEqual([{ hash: chunk, holders: [online, offline] }]);
  expect(answer.online).toEqual([online]);
});

test("holders that do not serve at this hour come last, are named, and no reader is sent to them", async () => {
  const chunk = chunkOf(8);
  const resting = await addHolder({ hours: otherHours(), url: "http://127.0.0.1:9" }, chunk);
  const awake = await addHolder({ hours: { from: "00:00", to: "23:59" } }, chunk);
  const answer = await locate(chunk);
  expect(answer.chunks).toEqual([{ hash: chunk, holders: [awake, resting] }]);
  expect(answer.resting).toEqual([resting]);
  const redirect = await SELF.fetch(`${EDGE}/chunk/${chunk}`, { redirect: "manual" });
  expect(redirect.headers.get("location")).toBe(`${EDGE}/via/${awake}/chunk/${chunk}`);
});
