// A real edge, real home nodes and the real command, with two resolvers whose answers are changed: what the edge accepts,
// and that readers are served meanwhile.

import { readFile, writeFile } from "node:fs/promises";
import { createServer, type Server } from "node:http";
import { buffer } from "node:stream/consumers";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { LocalNetwork } from "../../cli/local/network.ts";
import { parseZoneFile } from "../../cli/local/zone-file.ts";
import { keyRecordName } from "../../lib/domain-keys.ts";
import { encodeZone, type Zone } from "../lib/test-resolver.ts";
import { Publisher } from "./publisher.ts";
import { endNetwork, sharedView, startNetwork } from "./setup.ts";

/** A resolver of the edge's, over real HTTP. */
interface TestDns {
  zone: Zone;
  url: string;
  server: Server;
}

let dns: TestDns[];
let network: LocalNetwork;
let publisher: Publisher;
let published = 0;

async function startDns(): Promise<TestDns> {
  const started: TestDns = { zone: {}, url: "", server: createServer() };
  started.server.on("request", async (request, response) => {
    const query = new Uint8Array(await buffer(request));
    response.writeHead(200, { "content-type": "application/dns-message" });
    response.end(encodeZone(started.zone, query));
  });
  await new Promise<void>((resolve) => started.server.listen(0, "127.0.0.1", resolve));
  const address = started.server.address();
  const port = typeof address === "object" && address !== null ? address.port : 0;
  return Object.assign(started, { url: `http://127.0.0.1:${port}/dns-query` });
}

beforeAll(async () => {
  dns = await Promise.all([startDns(), startDns()]);
  network = await startNetwork(3, 0, { DOH_URLS: dns.map(({ url }) => url).join(" ") });
  publisher = await Publisher.create(sharedView(network));
});
afterAll(async () => {
  for (const { server } of dns ?? []) server.close().closeAllConnections();
  if (network !== undefined) await endNetwork(network);
});

/** What both resolvers of the edge say: the records that stand in the network's zone file. */
async function agree(changes: Zone = {}): Promise<void> {
  const owner = keyRecordName(publisher.domain);
  const records = parseZoneFile(await readFile(network.zoneFile, "utf8"));
  const texts = records
    .filter((record) => record.owner === owner)
    .map(({ strings }) => Buffer.concat(strings).toString());
  for (const one of dns) one.zone = { texts, ttl: 0, ...changes };
}

async function publish(): Promise<{ code: number; stderr: string }> {
  published += 1;
  const file = await publisher.writeFile("f", `content ${published}`);
  return publisher.publish(file, "f");
}

async function readBoth(): Promise<string[]> {
  const { stdout } = await publisher.holdfast("get", `${publisher.domain}/f`, "-o", "-");
  return [stdout, await (await fetch(publisher.objectUrl("f"))).text()];
}

const answerOf = async () => (await fetch(`${network.edgeUrl}/domain/${publisher.domain}`)).json();

describe("an edge with two resolvers", () => {
  test("accepts what both say, and shows who agreed", async () => {
    await agree();
    expect(await publish()).toMatchObject({ code: 0 });
    expect(await answerOf()).toMatchObject({
      problems: [],
      evidence: { agreement: 2, resolvers: dns.map(({ url }) => url), stale: false },
    });
  });

  test("refuses publishes while they differ, and serves what it has", async () => {
    await agree();
    const before = await readBoth();
    const [, second] = dns;
    if (second === undefined) throw new Error("there are two resolvers");
    second.zone = { texts: [], ttl: 0 };
    expect(await publish()).toMatchObject({ code: 4, stderr: expect.stringContaining("dns-disagreement") });
    expect(await readBoth()).toEqual(before);
    await agree();
    expect(await publish()).toMatchObject({ code: 0 });
  });

  test("refuses publishes while one of them fails", async () => {
    const [first] = dns;
    await agree();
    if (first !== undefined) first.zone = { rcode: 2 };
    expect(await publish()).toMatchObject({ code: 5, stderr: expect.stringContaining("dns-failed") });
    expect(await answerOf()).toMatchObject({ evidence: { agreement: 1 } });
    await agree();
    expect(await publish()).toMatchObject({ code: 0 });
  });

  test("that has seen DNSSEC refuses publishes without it, and tells readers", async () => {
    await agree({ ad: true });
    expect(await publish()).toMatchObject({ code: 0 });
    const before = await readBoth();
    await agree({ ad: false });
    expect(await publish()).toMatchObject({ code: 4, stderr: expect.stringContaining("dnssec-lost") });
    expect(await answerOf()).toMatchObject({ problems: [expect.stringContaining("DNSSEC")] });
    expect(await readBoth()).toEqual(before);
    await agree({ ad: true });
    expect(await publish()).toMatchObject({ code: 0 });
  });
});

test("a key is changed by domain rotate, and a reader who knew the old one follows", async () => {
  await agree({ ad: true });
  await readBoth();
  const next = await Publisher.create(sharedView(network), { records: false });
  const rotate = [
    "domain",
    "rotate",
    publisher.domain,
    "--key",
    publisher.keyFile,
    "--to",
    `${next.keyFile}.pub`,
  ];
  const first = await publisher.holdfast(...rotate);
  expect(first.stderr).toContain("Step 1 of 3");
  const before = await readFile(network.zoneFile, "utf8");
  await writeFile(network.zoneFile, `${before}${first.stdout}`);
  expect((await publisher.holdfast(...rotate)).stderr).toContain("Step 2 of 3");

  const old = keyRecordName(publisher.domain);
  const others = before.split("\n").filter((line) => !line.startsWith(`${old}.`));
  await writeFile(network.zoneFile, `${others.join("\n")}\n${first.stdout}`);
  await agree({ ad: true });
  expect((await publisher.holdfast(...rotate)).stderr).toContain("Done");
  const file = await publisher.writeFile("f", "by the new key");
  const args = [
    "publish",
    file,
    `${publisher.domain}/f`,
    "--key",
    next.keyFile,
    "--author",
    publisher.author,
  ];
  const byNew = await publisher.holdfast(...args);
  expect(byNew).toMatchObject({ code: 0, stderr: expect.stringContaining("signed the rotation") });
  expect(await readBoth()).toEqual(["by the new key", "by the new key"]);
});
