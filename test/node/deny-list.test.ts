// What a volunteer does not want, a home node neither stores nor gives out, whoever asks and by whatever way.

import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { digestOf } from "../../home-node/store/digest.ts";
import { BATCH_TYPE, encodeChunkBatch } from "../../lib/chunk-batch.ts";
import type { Hash } from "../../lib/hash.ts";
import { parseNameAnswer } from "../../lib/wire/names.ts";
import {
  Cleanup,
  chunkOf,
  createPublisher,
  DOMAIN,
  postNames,
  problemIn,
  publicationOf,
  putChunk,
  startTestNode,
  TestDns,
  type TestNode,
  uploadHeaders,
} from "./home-node-fixture.ts";

const cleanup = new Cleanup();
let node: TestNode;
let file: string;

beforeEach(async () => {
  file = join(await cleanup.directory(), "denied");
  await writeFile(file, "");
  node = await startTestNode(cleanup, await TestDns.start(cleanup), { config: { denyFile: file } });
});
afterEach(() => cleanup.run());

async function deny(...hashes: Hash[]): Promise<void> {
  await writeFile(file, `# denied\n${hashes.map((hash) => `  ${hash}  # why\n`).join("")}\n`);
  expect(await node.node.rereadDenied()).toBe(hashes.length);
}

async function get(path: string, method = "GET"): Promise<string> {
  return problemIn(await fetch(`${node.url}${path}`, { method }));
}

describe("a denied chunk", () => {
  it("is not stored, by itself or in a batch; others are", async () => {
    const publisher = await createPublisher(node);
    const [denied, other, third] = [chunkOf(1000), chunkOf(1000), chunkOf(1000)];
    await deny(denied.hash);
    expect(await problemIn(await putChunk(node, publisher, denied))).toBe("410 gone");
    expect(await problemIn(await putChunk(node, publisher, other))).toBe("201");
    const headers = await uploadHeaders(node, publisher, [denied.hash, third.hash]);
    const batch = await fetch(`${node.url}/chunk`, {
      method: "PUT",
      headers: { ...headers, "Content-Type": BATCH_TYPE },
      body: encodeChunkBatch([denied.bytes, third.bytes]),
    });
    expect(await problemIn(batch)).toBe("410 gone");
    await deny();
    expect(await get(`/chunk/${denied.hash}`)).toBe("404 not-found");
  });

  it("that is held already is not given until it is allowed again", async () => {
    const publisher = await createPublisher(node);
    const [denied, other] = [chunkOf(1000), chunkOf(1000)];
    for (const chunk of [denied, other]) expect((await putChunk(node, publisher, chunk)).status).toBe(201);
    expect(await get(`/chunk/${denied.hash}`)).toBe("200");
    await deny(denied.hash);
    expect(await get(`/chunk/${denied.hash}`)).toBe("410 gone");
    expect((await fetch(`${node.url}/chunk/${denied.hash}`, { method: "HEAD" })).status).toBe(410);
    expect(await get(`/chunk/${other.hash}`)).toBe("200");
    await deny();
    expect(await get(`/chunk/${denied.hash}`)).toBe("200");
  });
});

describe("a denied name", () => {
  it("is neither taken nor told of, under its Name Hash, its Version's id or its Manifest's hash", async () => {
    const named = await publicationOf(node, "a.iso");
    const [name, version] = [`/name/${named.nameHash}?domain=${DOMAIN}`, `/version/${named.id}`];
    const post = async () => problemIn(await postNames(node, [named.json]));
    await deny(named.nameHash);
    expect(await post()).toBe("410 gone");
    await deny();
    expect(await post()).toBe("200");
    await deny(named.nameHash, named.id);
    expect(await get(name)).toBe("410 gone");
    expect([await get(version), await get(`${version}.sig`)]).toEqual(["410 gone", "410 gone"]);
    expect(await post()).toBe("410 gone");
    await deny();
    expect([await get(name), await get(version)]).toEqual(["200", "200"]);
  });

  it("of which only the Manifest is denied is told of without it", async () => {
    const named = await publicationOf(node, "a.iso");
    await postNames(node, [named.json]);
    const answer = async () =>
      parseNameAnswer(await (await fetch(`${node.url}/name/${named.nameHash}?domain=${DOMAIN}`)).json());
    const { manifest } = await answer();
    expect(manifest).not.toBeNull();
    await deny(digestOf(named.manifest));
    expect(await answer()).toMatchObject({ manifest: null, versions: [expect.anything()] });
  });
});

describe("a file of denied hashes", () => {
  it("with a line that is no hash is refused with its number, and changes nothing", async () => {
    const chunk = chunkOf(10);
    await deny(chunk.hash);
    await writeFile(file, `${chunk.hash}\n${chunk.hash.toUpperCase()}\n`);
    await expect(node.node.rereadDenied()).rejects.toMatchObject({
      code: "invalid-request",
      message: expect.stringContaining("line 2"),
    });
    expect(await get(`/chunk/${chunk.hash}`)).toBe("410 gone");
  });

  it("that is not there keeps a node from starting", async () => {
    const config = { denyFile: join(await cleanup.directory(), "none") };
    await expect(startTestNode(cleanup, node.dns, { config })).rejects.toMatchObject({ code: "ENOENT" });
  });
});
