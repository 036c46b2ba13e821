import { createHash, randomBytes } from "node:crypto";
import { beforeAll, expect, inject, test } from "vitest";
import { nodeHost } from "../../cli/node-host.ts";
import {
  chunkSourceOf,
  domainKeysOf,
  edgeOf,
  loadSettings,
  type Settings,
  serversOf,
} from "../../cli/settings.ts";
import { download } from "../../lib/client/download.ts";
import type { PublishEvent } from "../../lib/client/publish.ts";
import {
  type BatchOutcome,
  type BatchRequest,
  GROUP_OBJECTS,
  publishBatch,
} from "../../lib/client/publish-batch.ts";
import { type Resolution, resolveMany } from "../../lib/client/resolve.ts";
import { Server } from "../../lib/client/server.ts";
import { nameHashOf, parseName } from "../../lib/names.ts";
import { Publisher } from "./publisher.ts";

const network = inject("network");
const sha256 = (bytes: Uint8Array) => createHash("sha256").update(bytes).digest("hex");
/** Two groups and a bit; one object of several chunks, one empty, two alike. */
const contents = [
  ...Array.from({ length: GROUP_OBJECTS + 20 }, (_, i) => new Uint8Array(randomBytes(1 + i * 40))),
  new Uint8Array(randomBytes(3_000_000)),
  new Uint8Array(0),
  new Uint8Array(5).fill(7),
  new Uint8Array(5).fill(7),
];
const names = contents.map((_, i) => parseName(`dir/file ${i}`));
let publisher: Publisher;
let settings: Settings;

beforeAll(async () => {
  publisher = await Publisher.create(network);
  settings = { ...(await loadSettings({})), edgeUrls: [network.edgeUrl], dohUrls: [network.dohUrl] };
});

let stored = 0;

async function publishAll(changes: Map<number, Uint8Array> = new Map()): Promise<BatchOutcome[]> {
  stored = 0;
  async function* blocks(bytes: Uint8Array) {
    yield bytes;
  }
  const requests = names.map((name, i): BatchRequest => {
    const bytes = changes.get(i) ?? contents[i] ?? new Uint8Array(0);
    return {
      name,
      open: () => blocks(bytes),
      sizeBytes: bytes.length,
      redundancy: { replicas: 3 },
      contentType: "a/b",
    };
  });
  const outcomes: BatchOutcome[] = [];
  const options = {
    domain: publisher.domain,
    author: publisher.author,
    host: nodeHost,
    edge: edgeOf(settings),
    servers: serversOf(settings),
    domainKeys: domainKeysOf(settings),
    signer: await publisher.signer(),
    onEvent: ({ type }: PublishEvent) => {
      if (type === "stored") stored += 1;
    },
  };
  for await (const outcome of publishBatch(requests, options)) outcomes.push(outcome);
  return outcomes;
}

const statuses = (outcomes: BatchOutcome[]) =>
  Object.entries(Object.groupBy(outcomes, ({ status }) => status)).map(([status, of]) => [status, of.length]);

test("a batch is published, each object under its own name, and reads back whole", async () => {
  const outcomes = await publishAll();
  expect(statuses(outcomes)).toEqual([["published", contents.length]]);
  expect(outcomes.map(({ request }) => request.name)).toEqual(names);
  for (const i of [0, GROUP_OBJECTS, contents.length - 4, contents.length - 3, contents.length - 1]) {
    const response = await fetch(publisher.objectUrl(encodeURIComponent(names[i] ?? "").replace("%2F", "/")));
    expect(sha256(new Uint8Array(await response.arrayBuffer()))).toBe(
      sha256(contents[i] ?? new Uint8Array(1)),
    );
  }
});

test("published again, only what changed is sent, and becomes a new Version", async () => {
  const outcomes = await publishAll(new Map([[3, new Uint8Array(randomBytes(100))]]));
  expect(statuses(outcomes).sort()).toEqual([
    ["published", 1],
    ["unchanged", contents.length - 1],
  ]);
  expect(outcomes[3]).toMatchObject({ status: "published", version: { body: { sequence: 2 } } });
  // Its chunk and its Manifest.
  expect(stored).toBe(2);
});

test("a batch is resolved, verified and fetched; a name that is not there is told of and harms no other", async () => {
  const servers = serversOf(settings);
  const source = chunkSourceOf(servers, () => undefined);
  const options = { servers, source, domainKeys: domainKeysOf(settings), now: Date.now };
  const asked = [...names, parseName("dir/none")].map((name) => nameHashOf(publisher.domain, name));
  const resolved = (await Array.fromAsync(resolveMany(publisher.domain, asked, options))).flat();
  expect(resolved.at(-1)).toMatchObject({ code: "not-found" });
  for (const [i, one] of resolved.slice(0, -1).entries()) {
    if (one instanceof Error) throw one;
    if (i === 3) continue;
    const digest = createHash("sha256");
    const sink = { write: async (bytes: Uint8Array) => void digest.update(bytes) };
    await download(one.manifest, sink, { source, hasher: nodeHost.hasher });
    expect(digest.digest("hex")).toBe(sha256(contents[i] ?? new Uint8Array(1)));
  }
});

test("a server without look-ups, as a home node is, is asked name by name", async () => {
  const [url = ""] = network.nodeUrls;
  const servers = [new Server(url, nodeHost.fetch), ...serversOf(settings)];
  const options = {
    servers,
    source: chunkSourceOf(servers, () => undefined),
    domainKeys: domainKeysOf(settings),
    now: Date.now,
  };
  const asked = names.slice(0, 10).map((name) => nameHashOf(publisher.domain, name));
  const resolved: Resolution[] = (
    await Array.fromAsync(resolveMany(publisher.domain, asked, options))
  ).flat();
  expect(resolved.map((one) => !(one instanceof Error) && one.problems)).toEqual(asked.map(() => []));
});

test.each([
  ["no names", { names: [] }],
  ["too many names", { names: Array(101).fill({ nameHash: "0".repeat(64), domain: "example.org" }) }],
  ["a malformed hash", { names: [{ nameHash: "0", domain: "example.org" }] }],
  ["an unknown field", { names: [{ nameHash: "0".repeat(64), domain: "example.org", more: 1 }] }],
])("a look-up of %s is a clear error", async (_, body) => {
  const response = await fetch(`${network.edgeUrl}/name/lookup`, {
    method: "POST",
    body: JSON.stringify(body),
  });
  expect([response.status, await response.json()]).toMatchObject([400, { code: "invalid-request" }]);
});
