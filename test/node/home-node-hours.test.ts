// A home node whose volunteer keeps hours: strangers' chunks move within them only, either way; the rest goes on.

import { afterEach, describe, expect, test } from "vitest";
import {
  Cleanup,
  chunkOf,
  createPublisher,
  problemIn,
  putChunk,
  startTestNode,
  TestDns,
  uploadHeaders,
} from "./home-node-fixture.ts";

const cleanup = new Cleanup();
afterEach(() => cleanup.run());

const HOUR_MS = 3_600_000;

describe("a home node with hours", () => {
  test("gives and takes chunks within them, and says outside when it serves again", async () => {
    const dns = await TestDns.start(cleanup);
    // The fixture's clock begins at noon.
    const node = await startTestNode(cleanup, dns, { pledge: { hours: { from: "08:00", to: "14:00" } } });
    const publisher = await createPublisher(node, {
      expires: new Date(node.clock.now() + 24 * HOUR_MS).toISOString(),
    });
    const [chunk, late] = [chunkOf(5000), chunkOf(5000)];
    expect((await putChunk(node, publisher, chunk)).status).toBe(201);
    const read = () => fetch(`${node.url}/chunk/${chunk.hash}`);
    expect((await read()).status).toBe(200);

    await node.clock.advance(2 * HOUR_MS + 60_000);
    const refused = await read();
    expect(refused.headers.get("retry-after")).toBe(String(18 * 3600 - 60));
    expect(await problemIn(refused)).toBe("503 outside-hours");
    expect(await problemIn(await putChunk(node, publisher, late))).toBe("503 outside-hours");
    const batch = await fetch(`${node.url}/chunk`, {
      method: "PUT",
      headers: await uploadHeaders(node, publisher, [late.hash]),
      body: new Uint8Array(),
    });
    expect(await problemIn(batch)).toBe("503 outside-hours");
    // What is small is answered, so that others know that it is there and what it keeps.
    expect((await fetch(`${node.url}/chunk/${chunk.hash}`, { method: "HEAD" })).status).toBe(200);
    expect((await fetch(`${node.url}/closest/${chunk.hash}`)).status).toBe(200);
    expect((await fetch(`${node.url}/status`)).status).toBe(200);

    await node.clock.advance(18 * HOUR_MS - 60_000);
    expect((await read()).status).toBe(200);
    const again = await createPublisher(node);
    expect((await putChunk(node, again, late)).status).toBe(201);
  });

  test("and one without hours serves at all of them (the control)", async () => {
    const dns = await TestDns.start(cleanup);
    const node = await startTestNode(cleanup, dns);
    const chunk = chunkOf(5000);
    expect((await putChunk(node, await createPublisher(node), chunk)).status).toBe(201);
    for (let hour = 0; hour < 24; hour++) {
      expect((await fetch(`${node.url}/chunk/${chunk.hash}`)).status).toBe(200);
      await node.clock.advance(HOUR_MS);
    }
  });

  test("tells its volunteer the hours and the name", async () => {
    const dns = await TestDns.start(cleanup);
    const hours = { from: "22:00", to: "06:00" };
    const node = await startTestNode(cleanup, dns, { pledge: { hours }, config: { name: "Ada's attic" } });
    expect(await node.node.status()).toMatchObject({ name: "Ada's attic", pledge: { hours } });
  });
});
