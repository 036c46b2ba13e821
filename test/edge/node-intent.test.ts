// What a home node says about its coming and going, and what the edge makes of it: away, leaving, a lost disk, lost chunks,
// and the question who keeps its chunks without it.

import { evictDurableObject, SELF } from "cloudflare:test";
import { env } from "cloudflare:workers";
import type * as v from "valibot";
import { describe, expect, test, vi } from "vitest";
import type { Member } from "../../durable-objects/members-table.ts";
import { keptKind } from "../../lib/durability/kept.ts";
import type { NodeId } from "../../lib/hash.ts";
import { leafPrefix, shardName } from "../../lib/overlay/shards.ts";
import { formatFrame, type NodeFrame, VACATION_MAX_MS } from "../../lib/registration.ts";
import type { StatementSigner } from "../../lib/sshsig.ts";
import { signStatement } from "../../lib/statement.ts";
import { formatSigned } from "../../lib/wire/signed.ts";
import type { EdgeStatus } from "../../lib/wire/status.ts";
import { DAY_MS, RepairScene } from "./repair-scene.ts";
import { EDGE, TestNode } from "./test-node.ts";

const PATIENCE = { timeout: 5000, interval: 20 };
const inDays = (days: number) => new Date(Date.now() + days * DAY_MS).toISOString();

async function memberOf(node: NodeId, prefix = leafPrefix(node, 4)): Promise<Member> {
  const [member] = await env.PARTITION_SHARD.getByName(shardName(prefix)).members([node]);
  if (member === undefined) throw new Error("the node is a member");
  return member;
}

/** Sends a frame, and waits until the shards have heard what it says. */
async function says(node: TestNode, frame: NodeFrame, isSo: (member: Member) => boolean): Promise<Member> {
  node.send(formatFrame(frame));
  return vi.waitUntil(async () => {
    const members = [await memberOf(node.id), await memberOf(node.id, "")];
    return members.every(isSo) ? members[0] : null;
  }, PATIENCE) as Promise<Member>;
}

describe("a node says that it", () => {
  test("will be away, for 60 days at most, and is back", async () => {
    const node = await TestNode.registered();
    const until = inDays(7);
    const away = await says(node, { type: "pause", until }, ({ awayUntilMs }) => awayUntilMs !== null);
    expect(away.awayUntilMs).toBe(Date.parse(until));
    const long = await says(
      node,
      { type: "pause", until: inDays(400) },
      ({ awayUntilMs }) => awayUntilMs !== Date.parse(until),
    );
    expect(long.awayUntilMs).toBeLessThanOrEqual(Date.now() + VACATION_MAX_MS);
    await says(node, { type: "pause", until: null }, ({ awayUntilMs }) => awayUntilMs === null);
  });

  test("is leaving, and stays after all", async () => {
    const node = await TestNode.registered();
    await says(node, { type: "leave", leaving: true }, ({ leaving }) => leaving);
    await evictDurableObject(env.NODE_LINK.getByName(node.id));
    await says(node, { type: "leave", leaving: false }, ({ leaving }) => !leaving);
  });

  test("is one of these when it registers, and not what it said on an earlier connection", async () => {
    const until = inDays(7);
    const node = await TestNode.registered({ awayUntil: until, leaving: true });
    expect(await memberOf(node.id)).toMatchObject({ awayUntilMs: Date.parse(until), leaving: true });
    await node.join();
    expect(await memberOf(node.id)).toMatchObject({ awayUntilMs: null, leaving: false });
  });

  test("has lost its disk, once: later registrations leave it at that time", async () => {
    const node = await TestNode.registered();
    expect(await memberOf(node.id)).toMatchObject({ lostMs: 0 });
    const before = Date.now();
    await node.join({ lost: true });
    const { lostMs } = await memberOf(node.id);
    expect(lostMs).toBeGreaterThanOrEqual(before);
    await evictDurableObject(env.NODE_LINK.getByName(node.id));
    await node.join();
    expect((await memberOf(node.id)).lostMs).toBe(lostMs);
  });

  test("has chunks no more: it alone goes off their lists, and they are looked at", async () => {
    const scene = new RepairScene();
    await scene.need(2);
    const [loser, other] = [await scene.source(), await scene.source()];
    // Else one of them has it again at once.
    for (const holder of [loser, other]) holder.say = async () => "refuses";
    loser.node.send(formatFrame({ type: "lost", chunks: [scene.chunk] }));
    await vi.waitUntil(async () => (await scene.holders()).length === 1, PATIENCE);
    expect(await scene.holders()).toEqual([other.node.id]);
    expect(await scene.waiting()).toMatchObject({ reason: "missing" });
  });
});

describe("the question who keeps a node's chunks without it", () => {
  async function ask(
    scene: RepairScene,
    node: TestNode,
    change: Partial<v.InferOutput<typeof keptKind.schema>> = {},
    signer: StatementSigner = node.signer,
  ): Promise<{ status: number; body: unknown }> {
    const { id: edge } = (await (await SELF.fetch(`${EDGE}/status`)).json()) as EdgeStatus;
    const time = new Date().toISOString();
    const question = { type: keptKind.type, node: node.id, edge, chunks: [scene.chunk], time, ...change };
    const response = await SELF.fetch(`${EDGE}/chunk/kept`, {
      method: "POST",
      body: JSON.stringify(formatSigned(await signStatement(keptKind, question, signer))),
    });
    return { status: response.status, body: await response.json() };
  }

  test("is answered for each chunk, and sets off repairs only for a node that is leaving", async () => {
    const scene = new RepairScene();
    await scene.need(2);
    const [{ node }] = [await scene.source(), await scene.source()];
    const answer = { chunks: [{ hash: scene.chunk, copies: 1, target: 2 }] };
    expect(await ask(scene, node)).toEqual({ status: 200, body: answer });
    expect(await scene.waiting()).toBeNull();
    await says(node, { type: "leave", leaving: true }, ({ leaving }) => leaving);
    await vi.waitUntil(async () => {
      await ask(scene, node);
      return (await scene.waiting()) !== null;
    }, PATIENCE);
    expect(await scene.waiting()).toMatchObject({ reason: "leaving" });
  });

  test("about what nobody needs says that nobody does", async () => {
    const scene = new RepairScene();
    const { node } = await scene.source();
    const chunks = [{ hash: scene.chunk, copies: 0, target: 0 }];
    expect(await ask(scene, node)).toEqual({ status: 200, body: { chunks } });
  });

  test("is not answered to strangers, from another time, nor where it was put to another edge", async () => {
    const scene = new RepairScene();
    await scene.need(2);
    const { node } = await scene.source();
    const stranger = await TestNode.create();
    const codeOf = async (asked: ReturnType<typeof ask>) => (await asked).body as { code: string };
    expect(await codeOf(ask(scene, node, {}, stranger.signer))).toMatchObject({ code: "key-not-authorized" });
    expect(await codeOf(ask(scene, stranger))).toMatchObject({ code: "not-found" });
    expect(await codeOf(ask(scene, node, { time: inDays(-1) }))).toMatchObject({ code: "time-order" });
    expect(await codeOf(ask(scene, node, { edge: scene.chunk }))).toMatchObject({
      code: "statement-replayed",
    });
    expect((await ask(scene, node)).status).toBe(200);
  });
});
