// An operator has shards split, by signed statements; and what /status says of the shards.

import { SELF } from "cloudflare:test";
import { randomBytes } from "@noble/hashes/utils.js";
import { describe, expect, test, vi } from "vitest";
import { type OperatorChange, operatorKind } from "../../lib/denial.ts";
import { encodeHash } from "../../lib/hash.ts";
import { signStatement } from "../../lib/statement.ts";
import { parseSplitAnswer } from "../../lib/wire/operator.ts";
import { formatSigned } from "../../lib/wire/signed.ts";
import { type EdgeStatus, parseEdgeStatus } from "../../lib/wire/status.ts";
import { operatorSigner } from "./operator-key.ts";
import { EDGE, TestNode } from "./test-node.ts";

const status = async (): Promise<EdgeStatus> =>
  parseEdgeStatus(await (await SELF.fetch(`${EDGE}/status`)).json());

async function statementOf(change: OperatorChange, signer?: TestNode["signer"]): Promise<string> {
  const body = {
    ...{ type: operatorKind.type, edge: (await status()).id, time: new Date().toISOString() },
    ...{ nonce: encodeHash(randomBytes(32)), change },
  };
  return JSON.stringify(
    formatSigned(await signStatement(operatorKind, body, signer ?? (await operatorSigner()))),
  );
}

const post = (body: string, path = "/operator/split") =>
  SELF.fetch(`${EDGE}${path}`, { method: "POST", body });
const codeOf = async (response: Response) => (await response.json<{ code: string }>()).code;

describe("POST /operator/split", () => {
  test("splits a shard, once for each statement, and /status says how many there are then", async () => {
    expect((await status()).shards).toMatchObject({ count: 16, depthMin: 4, depthMax: 4, splitting: [] });
    const statement = await statementOf({ action: "split", prefix: "0100" });
    const { shards } = parseSplitAnswer(await (await post(statement)).json());
    expect(shards).toMatchObject([{ prefix: "0100", state: "splitting" }]);
    expect(await codeOf(await post(statement))).toBe("statement-replayed");
    await vi.waitUntil(async () => (await status()).shards?.count === 17, { timeout: 20_000, interval: 50 });
    expect((await status()).shards).toMatchObject({ depthMin: 4, depthMax: 5, splitting: [] });
    const again = await post(await statementOf({ action: "split", prefix: "0100" }));
    expect(parseSplitAnswer(await again.json()).shards).toMatchObject([{ prefix: "0100", state: "split" }]);
  });

  test("splits all shards that there are", async () => {
    const response = await post(await statementOf({ action: "split", prefix: null }));
    expect(parseSplitAnswer(await response.json()).shards).toHaveLength(17);
    await vi.waitUntil(async () => (await status()).shards?.count === 34, { timeout: 50_000, interval: 100 });
    expect((await status()).shards).toMatchObject({ depthMin: 5, depthMax: 6, splitting: [] });
    const node = await TestNode.registered();
    const { nodes } = await (await SELF.fetch(`${EDGE}/closest/${node.id}`)).json<{
      nodes: { id: string }[];
    }>();
    expect(nodes[0]?.id).toBe(node.id);
  });

  test("takes nobody else's word, no word for something else, and no shard that there is not", async () => {
    const { signer } = await TestNode.create();
    const split = { action: "split", prefix: "01" } as const;
    expect(await codeOf(await post(await statementOf(split, signer)))).toBe("key-not-authorized");
    expect(await codeOf(await post(await statementOf({ action: "list" })))).toBe("invalid-request");
    expect(await codeOf(await post(await statementOf(split), "/operator/denials"))).toBe("invalid-request");
    expect(await codeOf(await post(await statementOf(split)))).toBe("invalid-request");
  });
});
