// How far an edge reads ahead of its reader: a bounded part of the object, and nothing more once the reader has gone.

import { createHash, randomBytes } from "node:crypto";
import { once } from "node:events";
import { readFile } from "node:fs/promises";
import { type IncomingMessage, request } from "node:http";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { LocalNetwork } from "../../cli/local/network.ts";
import { CHUNK_BYTES_MIN } from "../../lib/chunker.ts";
import { isLocal, parseNodeReport } from "../../lib/node-status.ts";
import { Publisher } from "./publisher.ts";
import { endNetwork, sharedView, startNetwork } from "./setup.ts";

const MiB = 1024 * 1024;
const CONTENT = randomBytes(96 * MiB);
/** More than is read ahead, and than sockets and programs between the edge and its reader keep. */
const AHEAD_MAX = CONTENT.length / 2;
const QUIET_MS = 1500;
const sha256 = (bytes: Uint8Array) => createHash("sha256").update(bytes).digest("hex");

let network: LocalNetwork;
let publisher: Publisher;

/** Bytes that home nodes have handed out directly. */
async function servedBytes(): Promise<number> {
  const urls = sharedView(network).nodeUrls;
  const counts = await Promise.all(
    urls.map(async (url) => {
      const status = parseNodeReport(await (await fetch(`${url}/status`)).json());
      if (!isLocal(status)) throw new Error("the node takes the test for a stranger");
      return status.traffic.total.direct.out.bytes;
    }),
  );
  return counts.reduce((sum, count) => sum + count, 0);
}

/** What they have handed out by the time that they hand out no more. */
async function servedInTheEnd(): Promise<number> {
  let before = -1;
  let now = await servedBytes();
  while (now !== before) {
    before = now;
    await new Promise((resolve) => setTimeout(resolve, QUIET_MS));
    now = await servedBytes();
  }
  return now;
}

/** An answer of which nothing is read yet. */
async function beginReading(): Promise<IncomingMessage> {
  const sent = request(publisher.objectUrl("big"));
  sent.end();
  const [answer] = (await once(sent, "response")) as [IncomingMessage];
  expect(answer.statusCode).toBe(200);
  return answer;
}

describe("a stream of a large object", () => {
  beforeAll(async () => {
    network = await startNetwork(2);
    publisher = await Publisher.create(sharedView(network));
    const file = await publisher.writeFile("big", CONTENT);
    expect(await publisher.publish(file, "big", "--replicas", "1")).toMatchObject({ code: 0 });
  });

  afterAll(() => endNetwork(network));

  test("waits for a reader who pauses, and then goes on to the last byte", async () => {
    const before = await servedBytes();
    const answer = await beginReading();
    expect((await servedInTheEnd()) - before).toBeLessThan(AHEAD_MAX);
    const blocks: Buffer[] = [];
    for await (const block of answer) blocks.push(block);
    expect(sha256(Buffer.concat(blocks))).toBe(sha256(CONTENT));
    const served = (await servedBytes()) - before;
    expect(served).toBeGreaterThanOrEqual(CONTENT.length);
    // No chunk twice; nodes answer each other's questions, too.
    expect(served).toBeLessThan(CONTENT.length + CHUNK_BYTES_MIN);
  });

  test("ends when its reader leaves", async () => {
    const before = await servedBytes();
    const answer = await beginReading();
    answer.destroy();
    expect((await servedInTheEnd()) - before).toBeLessThan(AHEAD_MAX);
    expect(await readFile(network.edge.logFile, "utf8")).not.toMatch(/unhandled|uncaught/i);
  });
});
