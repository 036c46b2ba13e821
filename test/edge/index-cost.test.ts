// What the index costs, measured in the runtime: bytes and rows of a shard that is filled by its own methods, and how many
// calls of Durable Objects a request of each kind makes. docs/scale.md has these figures.

import { createExecutionContext, runInDurableObject, waitOnExecutionContext } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { describe, expect, test } from "vitest";
import { edgeKey } from "../../durable-objects/edge-key.ts";
import { IndexClient } from "../../durable-objects/index-client.ts";
import { base64 } from "../../lib/base64.ts";
import { formatKeyRecords } from "../../lib/domain-records.ts";
import { importSigner } from "../../lib/ed25519.ts";
import { type Hash, hashBytes, type NodeId } from "../../lib/hash.ts";
import { encodeManifest } from "../../lib/manifest.ts";
import { nameHashOf, parseDomain, parseName } from "../../lib/names.ts";
import { formatPublicKeyText } from "../../lib/openssh-key.ts";
import { leafPrefix, shardName } from "../../lib/overlay/shards.ts";
import { createStatementSigner } from "../../lib/sshsig.ts";
import { signStatement } from "../../lib/statement.ts";
import { versionKind } from "../../lib/version.ts";
import { REFERRAL_TYPE } from "../../lib/wire/chunks.ts";
import { formatSigned } from "../../lib/wire/signed.ts";
import { commitStatements } from "../../workers/commit.ts";
import app from "../../workers/index.ts";
import { testResolver } from "../lib/test-resolver.ts";
import { countCalls } from "./counted-calls.ts";
import { bytesOf, EDGE } from "./test-node.ts";
import { TestHolder } from "./test-objects.ts";

/** Enough for a page more or less to make no difference; npm run sim:index has a hundred thousand. */
const CHUNKS = Number(env.INDEX_CHUNKS);
const HOLDERS = 3;
const VERSIONS = CHUNKS / 10;
const CHUNKS_PER_CALL = 500;
const domain = parseDomain("example.org");
const textBytes = (text: string) => new Uint8Array(new TextEncoder().encode(text));
const hashOf = (text: string): Hash => hashBytes(textBytes(text));

interface Cost {
  bytes: number;
  rowsWritten: number;
}

const shard = env.PARTITION_SHARD.getByName(shardName(leafPrefix(hashOf("a shard to fill"), 4)));

/** What the database has grown by, and the rows that were written, while `work` ran. */
async function costOf(work: () => Promise<void>): Promise<Cost> {
  const sizeOf = () => runInDurableObject(shard, (_, { storage }) => storage.sql.databaseSize);
  const before = await sizeOf();
  const rowsWritten = await countRows(work);
  return { bytes: (await sizeOf()) - before, rowsWritten };
}

/** Rows written as the platform bills them: those of indexes too. */
async function countRows(work: () => Promise<void>): Promise<number> {
  let rows = 0;
  const exec = await runInDurableObject(shard, (_, { storage: { sql } }) => {
    const original = sql.exec.bind(sql);
    sql.exec = ((query: string, ...bindings: unknown[]) => {
      const cursor = original(query, ...bindings);
      rows += cursor.rowsWritten;
      return cursor;
    }) as typeof sql.exec;
    return original;
  });
  await work();
  await runInDurableObject(shard, (_, { storage: { sql } }) => {
    sql.exec = exec;
  });
  return rows;
}

describe("a shard's database", { timeout: 600_000 }, () => {
  test("grows by some kilobyte for a chunk with three holders and a reference, and for a Version", async () => {
    const chunks = Array.from({ length: CHUNKS }, (_, i) => hashOf(`counted chunk ${i}`));
    const nodes = Array.from({ length: 40 }, (_, i) => hashOf(`counted node ${i}`) as NodeId);
    await shard.locate([]);
    const ofChunks = await costOf(async () => {
      for (let at = 0; at < CHUNKS; at += CHUNKS_PER_CALL) {
        const some = chunks.slice(at, at + CHUNKS_PER_CALL);
        const nameHash = hashOf(`counted name ${at}`);
        const manifest = hashOf(`counted manifest ${at}`);
        const holdersOf = (_: Hash, i: number) => nodes.slice(i % 30, (i % 30) + HOLDERS);
        const held = some.flatMap((chunk, i) =>
          holdersOf(chunk, i).map((node) => ({ chunk, node, sizeBytes: 1_048_576 })),
        );
        const references = some.map((chunk) => ({
          ...{ chunk, manifest, domain, nameHash, copies: HOLDERS, listedIn: null },
        }));
        await shard.write({ held, references, statements: [] });
      }
    });
    const versions = await Promise.all(Array.from({ length: VERSIONS }, (_, i) => newVersion(i)));
    const ofVersions = await costOf(async () => {
      for (let at = 0; at < VERSIONS; at += 100) await shard.append(versions.slice(at, at + 100));
    });
    const perChunk = { bytes: ofChunks.bytes / CHUNKS, rows: ofChunks.rowsWritten / CHUNKS };
    const perVersion = { bytes: ofVersions.bytes / VERSIONS, rows: ofVersions.rowsWritten / VERSIONS };
    console.log(`index: ${JSON.stringify({ chunks: CHUNKS, perChunk, versions: VERSIONS, perVersion })}`);
    expect(perChunk.bytes).toBeGreaterThan(500);
    expect(perChunk.bytes).toBeLessThan(2500);
    expect(perVersion.bytes).toBeGreaterThan(1000);
    expect(perVersion.bytes).toBeLessThan(6000);
    expect(perChunk.rows).toBeLessThan(12);
    expect(perVersion.rows).toBeLessThan(12);
  });
});

/** A Version of a small object, with statements as long as real ones. */
async function newVersion(i: number) {
  const name = parseName(`folder/object-${i}.bin`);
  const { manifest, body, signed, key } = await signVersion(name, 1_048_576, [hashOf(`counted chunk ${i}`)]);
  const witness = { bytes: signed.bytes.slice(), signature: signed.signature };
  return {
    ...{ id: signed.id, nameHash: body.nameHash, domain, name, sequence: 1, previous: null, expires: null },
    ...{ time: body.time, manifest: body.manifest, size: body.size, author: body.author, key },
    ...{ bytes: signed.bytes, signature: signed.signature, witness, manifestBytes: manifest },
    ...{ right: { by: "domain-key" as const }, delegation: null },
  };
}

const signer = createStatementSigner(await importSigner(new Uint8Array(32).fill(5)));

async function signVersion(name: ReturnType<typeof parseName>, size: number, chunks: Hash[]) {
  const list = { chunks: chunks.map((hash) => ({ hash, size: size / chunks.length })) };
  const head = { contentType: "application/octet-stream", metadata: {}, redundancy: { replicas: 1 } };
  const manifest = encodeManifest({ ...head, size, digest: hashOf(`whole of ${name}`) }, list);
  const body = {
    ...{ type: "holdfast-version-1" as const, domain, nameHash: nameHashOf(domain, name), name },
    ...{ manifest: hashBytes(manifest), size, author: "a@example.org", sequence: 1, previous: null },
    time: new Date().toISOString(),
  };
  const signed = await signStatement(versionKind, body, signer);
  return { manifest, body, signed, key: formatPublicKeyText(signer.key) };
}

describe("calls of Durable Objects", { timeout: 60_000 }, () => {
  async function callsOf(path: string, init: RequestInit = {}): Promise<{ calls: string[]; status: number }> {
    const { counted, calls } = countCalls(env);
    const context = createExecutionContext();
    const response = await app.fetch(
      new Request(`${EDGE}${path}`, { redirect: "manual", ...init }),
      counted,
      context,
    );
    await response.arrayBuffer();
    const answered = [...calls];
    await waitOnExecutionContext(context);
    return { calls: answered.filter((call) => call !== "denials"), status: response.status };
  }

  test("are few for a look-up, and one for a chunk that is relayed", async () => {
    const holder = await TestHolder.create();
    const { hash } = await holder.hold(bytesOf(1000, 77));
    const referral = await callsOf(`/chunk/${hash}`, { headers: { Accept: REFERRAL_TYPE } });
    const relayed = await callsOf(`/via/${holder.id}/chunk/${hash}`);
    const closest = await callsOf(`/closest/${hash}`);
    const bytes = bytesOf(2000, 78);
    await holder.publish({ domain, name: parseName("counted.bin"), bytes });
    const object = await callsOf(`/obj/${domain}/counted.bin`);
    const nameHash = nameHashOf(domain, parseName("counted.bin"));
    const name = await callsOf(`/name/${nameHash}?domain=${domain}`);
    console.log(`calls: ${JSON.stringify({ referral, relayed, closest, object, name })}`);
    expect(referral.status).toBe(200);
    expect(referral.calls.length).toBeLessThanOrEqual(3);
    expect(relayed).toEqual({ status: 200, calls: ["fetch"] });
    expect(closest.calls.length).toBeLessThanOrEqual(3);
    expect(object.status).toBe(200);
    expect(name).toMatchObject({ status: 200 });
    expect(name.calls.length).toBeLessThanOrEqual(3);
  });

  test("of a publish follow the shards that its hashes are in, not its chunks", async () => {
    const holder = await TestHolder.create();
    const { counted, calls } = countCalls(env);
    const index = new IndexClient(counted);
    const resolver = testResolver(() => ({
      texts: formatKeyRecords({ blob: signer.key, emails: [] }),
    }));
    const publish = async (label: string, count: number) => {
      calls.length = 0;
      const name = parseName(`published-${label}.bin`);
      const chunks = [];
      for (let i = 0; i < count; i++) chunks.push((await holder.hold(bytesOf(100 + count, i + 1))).hash);
      const { manifest, signed } = await signVersion(name, count * (100 + count), chunks);
      await holder.hold(manifest);
      const version = { version: formatSigned(signed), manifest: base64.encode(manifest), witnesses: [] };
      const [result] = await commitStatements(
        index,
        resolver,
        await edgeKey(env.EDGE_KEY),
        { statements: [version], receipts: [] },
        async () => undefined,
      );
      expect(result).toMatchObject({ status: "accepted" });
      return [...calls];
    };
    const [one, hundred] = [await publish("one", 1), await publish("hundred", 100)];
    console.log(`publish: ${JSON.stringify({ one, hundred })}`);
    expect(one.length).toBeLessThanOrEqual(16);
    expect(hundred.length).toBeLessThanOrEqual(100);
  });
});
