// What a running node counts of what comes and goes at its listener and through its tunnel, over real sockets.

import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { TrafficFlows } from "../../lib/node-status.ts";
import type { TunnelResponse } from "../../lib/tunnel/opener.ts";
import {
  Cleanup,
  chunkOf,
  createPublisher,
  DOMAIN,
  ManualClock,
  postNames,
  publicationOf,
  putChunk,
  startTestNode,
  TestDns,
  type TestNode,
  uploadHeaders,
} from "./home-node-fixture.ts";
import { type Connection, Edge, untilState } from "./test-edge.ts";

const cleanup = new Cleanup();
let dns: TestDns;
let node: TestNode;
let connection: Connection;

beforeEach(async () => {
  dns = await TestDns.start(cleanup);
  const clock = new ManualClock();
  const edge = await Edge.start(cleanup, clock);
  node = await startTestNode(cleanup, dns, { clock, config: { edges: [edge.url] } });
  connection = await edge.connection(0);
  connection.challenge.node = node.id;
  await connection.register();
  await untilState(node, "registered");
});
afterEach(() => cleanup.run());

const NONE = { requests: 0, bytes: 0 };
const IDLE = { in: NONE, out: NONE };

async function total(): Promise<TrafficFlows> {
  return (await node.node.status()).traffic.total;
}

async function bytesIn(response: { body: TunnelResponse["body"] }): Promise<number> {
  const reader = response.body?.getReader();
  let bytes = 0;
  for (let block = await reader?.read(); block?.done === false; block = await reader?.read()) {
    bytes += block.value?.length ?? 0;
  }
  return bytes;
}

describe("at the listener", () => {
  it("counts a chunk in and out", async () => {
    const chunk = chunkOf(400_000);
    await putChunk(node, await createPublisher(node), chunk);
    await (await fetch(`${node.url}/chunk/${chunk.hash}`)).arrayBuffer();
    expect(await total()).toEqual({
      direct: { in: { requests: 1, bytes: 400_000 }, out: { requests: 1, bytes: 400_000 } },
      tunnel: IDLE,
      relay: IDLE,
    });
  });

  it("counts names and Versions as they are sent", async () => {
    const publication = await publicationOf(node, "app.iso");
    await postNames(node, [publication.json]);
    const posted = JSON.stringify({ statements: [publication.json], receipts: [] }).length;
    const paths = [
      `/name/${publication.nameHash}?domain=${DOMAIN}`,
      `/version/${publication.id}`,
      `/version/${publication.id}.sig`,
      `/closest/${publication.id}`,
    ];
    let read = 0;
    for (const path of paths) read += (await (await fetch(node.url + path)).arrayBuffer()).byteLength;
    expect((await total()).direct).toEqual({
      in: { requests: 1, bytes: posted },
      out: { requests: paths.length, bytes: read },
    });
  });

  it("counts a HEAD without bytes, and neither what it refuses nor what the volunteer looks at", async () => {
    const chunk = chunkOf(1000);
    await putChunk(node, await createPublisher(node), chunk);
    await fetch(`${node.url}/chunk/${chunk.hash}`, { method: "HEAD" });
    for (const path of ["/", "/status", `/chunk/${chunkOf(1).hash}`, "/version/nonsense"]) {
      await (await fetch(node.url + path)).arrayBuffer();
    }
    await fetch(`${node.url}/chunk/${chunk.hash}`, { method: "OPTIONS" });
    expect((await total()).direct.out).toEqual({ requests: 1, bytes: 0 });
  });

  it("counts the bytes of an upload that it refuses, because they came", async () => {
    const [chunk, other] = [chunkOf(1000), chunkOf(1000)];
    const headers = await uploadHeaders(node, await createPublisher(node), [chunk.hash]);
    const url = `${node.url}/chunk/${chunk.hash}`;
    expect((await fetch(url, { method: "PUT", headers, body: other.bytes })).status).toBe(422);
    expect((await total()).direct.in).toEqual({ requests: 0, bytes: 1000 });
    expect(await node.node.status()).toMatchObject({ receipts: 0, accepted: { domains: [] } });
  });

  it("counts for its domain what was newly stored, and a receipt for each upload", async () => {
    const publisher = await createPublisher(node);
    const chunk = chunkOf(1000);
    await putChunk(node, publisher, chunk);
    await putChunk(node, publisher, chunk);
    await putChunk(node, publisher, chunkOf(50));
    expect(await node.node.status()).toMatchObject({
      receipts: 3,
      accepted: { domains: [{ domain: DOMAIN, chunks: 2, bytes: 1050 }] },
    });
  });
});

describe("through the tunnel", () => {
  it("counts apart what an edge brings and fetches, and tells it in the edge's standing", async () => {
    const chunk = chunkOf(5000);
    const headers = await uploadHeaders(node, await createPublisher(node), [chunk.hash]);
    const names = Object.entries(headers).map(([name, value]): [string, string] => [
      name.toLowerCase(),
      value,
    ]);
    const path = `/chunk/${chunk.hash}`;
    let left: Uint8Array | undefined = chunk.bytes;
    const read = async () => {
      const value = left;
      left = undefined;
      return value === undefined ? { done: true } : { done: false, value };
    };
    const put = { method: "PUT" as const, path, headers: names };
    await bytesIn(
      await connection.opener.request({ head: put, body: { read, cancel: async () => undefined } }),
    );
    const get = { method: "GET" as const, path, headers: [] };
    expect(await bytesIn(await connection.opener.request({ head: get, body: null }))).toBe(5000);
    expect(await total()).toEqual({
      direct: IDLE,
      relay: IDLE,
      tunnel: { in: { requests: 1, bytes: 5000 }, out: { requests: 1, bytes: 5000 } },
    });
    const [edge] = (await node.node.status()).edges;
    expect(edge?.standing).toEqual({ audits: null, registrations: 1, losses: 0, requests: 2, failures: 0 });
  });

  it("counts a lost link", async () => {
    connection.socket.terminate();
    await untilState(node, "waiting");
    const standing = async () => (await node.node.status()).edges[0]?.standing;
    expect(await standing()).toMatchObject({ registrations: 1, losses: 1 });
  });
});

it("goes on after the node was stopped and started again", async () => {
  const chunk = chunkOf(3000);
  await putChunk(node, await createPublisher(node), chunk);
  await node.node.stop();
  node = await startTestNode(cleanup, dns, { dir: node.dir, clock: node.clock });
  await (await fetch(`${node.url}/chunk/${chunk.hash}`)).arrayBuffer();
  const flows = { in: { requests: 1, bytes: 3000 }, out: { requests: 1, bytes: 3000 } };
  expect(await node.node.status()).toMatchObject({
    chunks: 1,
    receipts: 1,
    traffic: { total: { direct: flows }, today: { date: "2026-03-01", direct: flows } },
    accepted: { domains: [{ domain: DOMAIN, chunks: 1, bytes: 3000 }] },
  });
});
