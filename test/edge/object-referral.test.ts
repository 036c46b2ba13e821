import { SELF } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { beforeAll, describe, expect, test } from "vitest";
import { decodeBase64 } from "../../lib/base64.ts";
import { importSigner } from "../../lib/ed25519.ts";
import { type Hash, hashBytes, type NodeId } from "../../lib/hash.ts";
import { encodeManifest } from "../../lib/manifest.ts";
import { nameHashOf, parseDomain, parseName } from "../../lib/names.ts";
import { formatPublicKeyText } from "../../lib/openssh-key.ts";
import { leafPrefix, shardName } from "../../lib/overlay/shards.ts";
import { createStatementSigner } from "../../lib/sshsig.ts";
import { signStatement, verifyStatement } from "../../lib/statement.ts";
import { versionKind } from "../../lib/version.ts";
import { CHUNKS_PER_PLAN_MAX, REFERRAL_TYPE } from "../../lib/wire/chunks.ts";
import { OBJECT_REFERRAL_MAX, type ObjectReferral, parseObjectReferral } from "../../lib/wire/names.ts";
import { parseSigned } from "../../lib/wire/signed.ts";
import { wantsReferral } from "../../workers/object-referral.ts";
import { memberReport } from "./test-rows.ts";

const domain = parseDomain("example.org");
const name = parseName("app.iso");
const nameHash = nameHashOf(domain, name);
const CHUNKS = 2 * CHUNKS_PER_PLAN_MAX;
const chunks = Array.from({ length: CHUNKS }, (_, i) => ({ hash: hashOf(`chunk ${i}`), size: 1 }));
const manifest = encodeManifest(
  {
    size: CHUNKS,
    digest: hashOf("the whole"),
    contentType: "text/plain",
    metadata: {},
    redundancy: { replicas: 1 },
  },
  { chunks },
);

function hashOf(value: string): Hash {
  return hashBytes(new Uint8Array(new TextEncoder().encode(value)));
}

const shardOf = (hash: Hash) => env.PARTITION_SHARD.getByName(shardName(leafPrefix(hash, 4)));
const ask = (headers: Record<string, string>, method = "GET", query = "") =>
  SELF.fetch(`http://edge.test/obj/${domain}/${name}${query}`, { method, headers });
const referral = async (): Promise<ObjectReferral> =>
  parseObjectReferral(await (await ask({ accept: REFERRAL_TYPE })).json());

/** A home node that holds the Manifest and every chunk. */
async function addHolder(i: number): Promise<NodeId> {
  const signer = createStatementSigner(await importSigner(new Uint8Array(32).fill(i)));
  const id = hashBytes(signer.key) as NodeId;
  const held = [...chunks.map(({ hash }) => hash), hashBytes(manifest)];
  for (const chunk of held)
    await shardOf(chunk).write({ held: [{ chunk, node: id, sizeBytes: 1 }], references: [], statements: [] });
  await env.PARTITION_SHARD.getByName(shardName("")).putMember(
    memberReport(id, { key: formatPublicKeyText(signer.key), url: `http://127.0.0.1:${i}` }),
  );
  return id;
}

describe("an object's referral", () => {
  const nodes: NodeId[] = [];
  let versionId: Hash;

  beforeAll(async () => {
    for (const i of [1, 2]) nodes.push(await addHolder(i));
    const signer = createStatementSigner(await importSigner(new Uint8Array(32).fill(9)));
    const head = { domain, nameHash, name, sequence: 1, previous: null, manifest: hashBytes(manifest) };
    const time = "2026-01-01T00:00:00.000Z";
    const signed = await signStatement(
      versionKind,
      { type: "holdfast-version-1", ...head, time, size: CHUNKS, author: "a@example.org" },
      signer,
    );
    versionId = signed.id;
    await shardOf(nameHash).append([
      {
        ...{ ...head, id: signed.id, time, expires: null, size: CHUNKS, author: "a@example.org" },
        ...{ key: formatPublicKeyText(signer.key), bytes: signed.bytes, signature: signed.signature },
        witness: { bytes: new Uint8Array([1]), signature: "witness signature" },
        manifestBytes: manifest,
        right: { by: "domain-key" },
        delegation: null,
      },
    ]);
  });

  test("has the signed Version and the Manifest, as they were published", async () => {
    const { version, manifest: text, ...rest } = await referral();
    expect(rest).toMatchObject({ domain, name, nameHash });
    const verified = await verifyStatement(versionKind, parseSigned(version));
    expect(verified.id).toBe(versionId);
    expect(verified.body.manifest).toBe(hashBytes(decodeBase64(text)));
    expect(version.witnesses).toEqual([{ statement: "AQ==", signature: "witness signature" }]);
  });

  test("says who holds the Manifest and the first chunks, and how to reach them", async () => {
    const answer = await referral();
    const expected = [hashBytes(manifest), ...chunks.map(({ hash }) => hash)].slice(0, CHUNKS_PER_PLAN_MAX);
    const listed = new Map(answer.chunks.map(({ hash, holders }) => [hash, holders.toSorted()]));
    expect(listed).toEqual(new Map(expected.map((hash) => [hash, nodes.toSorted()])));
    const urls = answer.nodes.map(({ id, url }) => [id, url] as const);
    expect(new Map(urls)).toEqual(new Map(nodes.map((id, i) => [id, `http://127.0.0.1:${i + 1}`])));
  });

  test("is not kept by anybody, and bounded", async () => {
    const response = await ask({ accept: REFERRAL_TYPE });
    const headers = Object.fromEntries(response.headers);
    expect(headers).toMatchObject({
      "content-type": REFERRAL_TYPE,
      "cache-control": "no-store",
      vary: "Accept",
    });
    expect((await response.arrayBuffer()).byteLength).toBeLessThan(OBJECT_REFERRAL_MAX);
  });

  test("is given of a Version by its id, by HEAD without a body, and whatever the conditions are", async () => {
    const pinned = await ask({ accept: REFERRAL_TYPE }, "GET", `?version=${versionId}`);
    expect(parseObjectReferral(await pinned.json()).nameHash).toBe(nameHash);
    const head = await ask({ accept: REFERRAL_TYPE }, "HEAD");
    expect(head.headers.get("content-type")).toBe(REFERRAL_TYPE);
    expect(await head.text()).toBe("");
    const conditional = await ask({ accept: REFERRAL_TYPE, "if-none-match": "*", range: "bytes=0-0" });
    expect(conditional.status).toBe(200);
    await conditional.body?.cancel();
  });

  test("is not given of what is not there", async () => {
    const response = await ask({ accept: REFERRAL_TYPE }, "GET", `?version=${hashOf("another")}`);
    expect(response.status).toBe(404);
    expect(await response.json()).toMatchObject({ code: "not-found" });
  });

  test("is given to nobody else: other answers say that Accept matters", async () => {
    const response = await ask({ accept: "*/*" }, "HEAD");
    expect(Object.fromEntries(response.headers)).toMatchObject({
      "content-type": "text/plain",
      vary: "Accept",
    });
  });
});

test.each([
  [REFERRAL_TYPE, true],
  [`text/html, ${REFERRAL_TYPE};q=0.1, */*`, true],
  ["Application/Vnd.Holdfast.Referral+JSON", true],
  [`${REFERRAL_TYPE};q=0`, false],
  [`${REFERRAL_TYPE} ; q=0.000`, false],
  [`${REFERRAL_TYPE}s`, false],
  ["*/*", false],
  ["application/*", false],
  ["application/json", false],
  ["", false],
  [undefined, false],
])("Accept: %s asks for a referral: %s", (accept, isAsked) => {
  expect(wantsReferral(accept)).toBe(isAsked);
});
