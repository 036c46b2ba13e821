import { SELF } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { expect, test } from "vitest";
import { hashBytes, type NodeId } from "../../lib/hash.ts";
import { formatPublicKeyText } from "../../lib/openssh-key.ts";
import { leafPrefix, shardName } from "../../lib/overlay/shards.ts";
import { parseLocateAnswer } from "../../lib/wire.ts";
import { bytesOf, EDGE, TestNode } from "./test-node.ts";
import { memberReport } from "./test-rows.ts";

const chunk = hashBytes(bytesOf(100, 7));

async function addHolder(isOnline: boolean): Promise<NodeId> {
  const { id, signer } = await TestNode.create();
  const held = [{ chunk, node: id, sizeBytes: 100 }];
  const shard = env.PARTITION_SHARD.getByName(shardName(leafPrefix(chunk, 4)));
  await shard.write({ held, references: [], statements: [] });
  await env.PARTITION_SHARD.getByName(shardName("")).putMember(
    memberReport(id, { key: formatPublicKeyText(signer.key), online: isOnline }),
  );
  return id;
}

test("holders are listed with those that are online first, and it is said which are", async () => {
  const [offline, online] = [await addHolder(false), await addHolder(true)];
  const body = JSON.stringify({ chunks: [chunk] });
  const response = await SELF.fetch(`${EDGE}/chunk/locate`, { method: "POST", body });
  const answer = parseLocateAnswer(await response.json());
  expect(answer.chunks).toEqual([{ hash: chunk, holders: [online, offline] }]);
  expect(answer.online).toEqual([online]);
});
