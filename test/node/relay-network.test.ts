// Every edge is gone: what only nodes without a listener keep is read from home nodes that are reached, by anybody.

import { afterEach, describe, expect, it } from "vitest";
import { nodeHasher } from "../../cli/node-host.ts";
import { createChunkFetch } from "../../lib/client/chunk-fetch.ts";
import { routesTo } from "../../lib/client/holders.ts";
import { Server } from "../../lib/client/server.ts";
import type { Contact } from "../../lib/wire/nodes.ts";
import {
  Cleanup,
  chunkOf,
  createPublisher,
  DOMAIN,
  ManualClock,
  publicationOf,
  startTestNode,
  TestDns,
  type TestNode,
  until,
  uploadHeaders,
} from "./home-node-fixture.ts";
import { viaOf } from "./relayed-node.ts";
import { Edge } from "./test-edge.ts";

const cleanup = new Cleanup();
afterEach(() => cleanup.run());

describe("two nodes that are reached, and two behind NAT that were told of them", () => {
  it("serve a chunk and a name that only those behind NAT keep, when no edge is left", async () => {
    const dns = await TestDns.start(cleanup);
    const clock = new ManualClock();
    const startReached = () => startTestNode(cleanup, dns, { clock });
    const reached = await Promise.all([startReached(), startReached()]);
    const contacts = await Promise.all(reached.map(contactOf));
    const edges = new Cleanup();
    const edge = await Edge.start(edges, clock);
    const hidden = await Promise.all([startHidden(0), startHidden(1)]);
    await edges.run();
    await expect(fetch(edge.url)).rejects.toThrow();

    for (const { node, relays } of hidden) {
      expect(relays.sort()).toEqual(reached.map(({ url }) => url).sort());
      const chunk = chunkOf(300_000);
      const published = await publicationOf(node, `kept by ${node.id}`, {
        chunks: [{ hash: chunk.hash, size: chunk.bytes.length }],
      });
      const headers = await uploadHeaders(node, await createPublisher(node), [chunk.hash]);
      const [first, second] = reached;
      const put = { method: "PUT", headers, body: chunk.bytes };
      expect((await viaOf(first, node.id, `/chunk/${chunk.hash}`, put)).status).toBe(201);

      // By the ways that its contact tells, whoever told of it.
      const contact: Contact = { ...(await contactOf(node)), url: null, relays };
      const routes = routesTo(contact, { url: second.url, isEdge: false });
      expect(routes.map(({ url }) => url)).toEqual([second, first].map(({ url }) => `${url}/via/${node.id}`));
      const handed = await new Server(routes[0]?.url ?? "", fetch).postNames({
        statements: [published.json],
        receipts: [],
      });
      expect(handed.results).toMatchObject([{ status: "accepted" }]);
      for (const { url } of routes) {
        const fetchChunk = createChunkFetch(fetch);
        const wanted = { hash: chunk.hash, sizeBytes: chunk.bytes.length };
        const bytes = await fetchChunk(`${url}/chunk/${chunk.hash}`, wanted, { redirectsMax: 0 });
        expect(await nodeHasher.digest(bytes)).toBe(chunk.hash);
        const { versions } = await new Server(url, fetch).name(published.nameHash, DOMAIN);
        expect(versions).toMatchObject([published.json.version]);
      }
      // Nobody else has them.
      for (const other of reached) {
        expect((await fetch(`${other.url}/chunk/${chunk.hash}`)).status).toBe(404);
        expect((await fetch(`${other.url}/version/${published.id}`)).status).toBe(404);
      }
    }

    async function startHidden(index: number): Promise<{ node: TestNode; relays: string[] }> {
      const config = { edges: [edge.url], listen: null };
      const node = await startTestNode(cleanup, dns, { clock, config });
      await until("it has connected", () => edge.connections.some(({ path }) => path.endsWith(node.id)));
      const connection = edge.connections.find(({ path }) => path.endsWith(node.id));
      if (connection === undefined) throw new Error(`node ${index} has not connected`);
      connection.challenge.node = node.id;
      await connection.register(contacts, { direct: false });
      let relays: string[] = [];
      await until("it is relayed by both", () => {
        void node.node.status().then((status) => {
          relays = status.relays.filter(({ state }) => state === "registered").map(({ url }) => url);
        });
        return relays.length === contacts.length;
      });
      return { node, relays };
    }
  });
});

async function contactOf({ node, id, url }: TestNode): Promise<Contact> {
  return { id, key: (await node.status()).key, url };
}
