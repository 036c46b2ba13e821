// Uploads that somebody has recorded, sent again: to another node, for other chunks, under other grants and keys, too late,
// and after a node was started anew. Beside each, the same upload where it belongs.

import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { CHARGES_FILE, CHARGES_WRITE_MS } from "../../home-node/server/grant-charges.ts";
import { formatSignedHeader } from "../../lib/wire/signed.ts";
import {
  Cleanup,
  chunkOf,
  createPublisher,
  createSigner,
  isoTime,
  OTHER_DOMAIN,
  type Publisher,
  problemIn,
  putChunk,
  settle,
  startTestNode,
  TestDns,
  type TestNode,
  uploadHeaders,
} from "./home-node-fixture.ts";

const cleanup = new Cleanup();
let dns: TestDns;
let node: TestNode;
let publisher: Publisher;

beforeEach(async () => {
  dns = await TestDns.start(cleanup);
  node = await startTestNode(cleanup, dns);
  publisher = await createPublisher(node);
});
afterEach(() => cleanup.run());

type Chunk = ReturnType<typeof chunkOf>;

/** Sends an upload with headers that were made for it, or for another. */
async function send(to: TestNode, headers: Record<string, string>, { hash, bytes }: Chunk): Promise<string> {
  return problemIn(await fetch(`${to.url}/chunk/${hash}`, { method: "PUT", headers, body: bytes }));
}

describe("a recorded upload", () => {
  test("is of no use at another node, for other chunks, under other grants or keys, or too late", async () => {
    const chunk = chunkOf(1_000);
    const recorded = await uploadHeaders(node, publisher, [chunk.hash]);
    expect(await send(node, recorded, chunk)).toBe("201");
    const other = await startTestNode(cleanup, dns, { clock: node.clock });
    const forOther = await uploadHeaders(other, publisher, [chunk.hash]);
    const elsewhere = await createPublisher(
      node,
      { domain: OTHER_DOMAIN, author: "x@example.net" },
      dns.other,
    );
    const renewed = await createPublisher(node);
    const thief = { grant: publisher.grant, session: await createSigner() };
    const upload = { "Holdfast-Upload": recorded["Holdfast-Upload"] ?? "" };
    const replays: [string, string, string][] = [
      ["at another node", await send(other, recorded, chunk), "403 grant-mismatch"],
      ["of another node's here", await send(node, forOther, chunkOf(10)), "403 grant-mismatch"],
      ["for another chunk", await send(node, recorded, chunkOf(1_000)), "403 grant-mismatch"],
      [
        "for its chunk with other bytes",
        await send(node, recorded, { ...chunk, bytes: chunkOf(1_000).bytes }),
        "422 content-hash-mismatch",
      ],
      [
        "under another domain's grant",
        await send(node, { ...upload, "Holdfast-Grant": formatSignedHeader(elsewhere.grant) }, chunkOf(9)),
        "403 grant-mismatch",
      ],
      [
        "under a newer grant of its domain",
        await send(node, { ...upload, "Holdfast-Grant": formatSignedHeader(renewed.grant) }, chunkOf(9)),
        "403 grant-mismatch",
      ],
      [
        "by another session key",
        await send(node, await uploadHeaders(node, thief, [chunk.hash]), chunk),
        "403 grant-mismatch",
      ],
    ];
    await node.clock.advance(3_600_000);
    replays.push(["after its grant has expired", await send(node, recorded, chunk), "403 grant-expired"]);
    const taken = replays.filter(([, answer]) => answer.startsWith("2"));
    console.log(`uploads replayed: ${replays.length}, accepted: ${taken.length}`);
    expect(replays.map(([what, answer]) => [what, answer])).toEqual(
      replays.map(([what, , code]) => [what, code]),
    );
    expect(
      await send(other, await uploadHeaders(other, await createPublisher(other), [chunk.hash]), chunk),
    ).toBe("201");
  });

  test("sent again where it belongs stores nothing and is charged nothing", async () => {
    const small = await createPublisher(node, { bytes: 2_000 });
    const [chunk, next] = [chunkOf(1_000), chunkOf(1_000)];
    const recorded = await uploadHeaders(node, small, [chunk.hash]);
    expect(await send(node, recorded, chunk)).toBe("201");
    for (let i = 0; i < 5; i++) expect(await send(node, recorded, chunk)).toBe("200");
    expect(await problemIn(await putChunk(node, small, next))).toBe("201");
  });
});

describe("what a grant was used for", () => {
  async function restarted(): Promise<TestNode> {
    await node.node.stop();
    return startTestNode(cleanup, dns, { dir: node.dir, clock: node.clock });
  }

  test("is remembered over restarts, to the byte", async () => {
    const small = await createPublisher(node, { bytes: 2_500 });
    expect(await problemIn(await putChunk(node, small, chunkOf(1_000)))).toBe("201");
    const answers = [];
    for (const size of [1_000, 1_000, 500, 1]) {
      node = await restarted();
      answers.push(await problemIn(await putChunk(node, small, chunkOf(size))));
    }
    expect(answers).toEqual(["201", "403 grant-exceeded", "201", "403 grant-exceeded"]);
  });

  test("is on disk a quarter of a minute after it was charged, for a node that is not stopped but ends", async () => {
    const file = join(node.dir, CHARGES_FILE);
    await expect(readFile(file)).rejects.toThrow("ENOENT");
    await putChunk(node, publisher, chunkOf(1_234));
    await node.clock.advance(CHARGES_WRITE_MS);
    await expect
      .poll(() => readFile(file, "utf8").catch(() => ""))
      .toContain(`["${publisher.grant.id}",1234,`);
  });

  test("is forgotten when the grant has expired", async () => {
    await putChunk(node, publisher, chunkOf(10));
    const long = await createPublisher(node, { expires: isoTime(node.clock.now() + 7_200_000) });
    await putChunk(node, long, chunkOf(10));
    await node.clock.advance(3_600_000);
    await putChunk(node, long, chunkOf(10));
    await settle();
    node = await restarted();
    const text = await readFile(join(node.dir, CHARGES_FILE), "utf8");
    expect([text.includes(publisher.grant.id), text.includes(long.grant.id)]).toEqual([false, true]);
  });

  test("begins anew where its file is damaged, which is kept beside it", async () => {
    await putChunk(node, publisher, chunkOf(10));
    await node.node.stop();
    await writeFile(join(node.dir, CHARGES_FILE), "{");
    node = await startTestNode(cleanup, dns, { dir: node.dir, clock: node.clock });
    expect(await readFile(join(node.dir, `${CHARGES_FILE}.damaged`), "utf8")).toBe("{");
    expect(await problemIn(await putChunk(node, publisher, chunkOf(10)))).toBe("201");
  });
});
