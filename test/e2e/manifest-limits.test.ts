// Manifests past every limit, and of every malformed shape, posted raw to an edge and to a home node: each is refused with a
// stable code. What is within the limits, by a hair, is not refused for its form.

import { base64 } from "@scure/base";
import { beforeAll, describe, expect, inject, test } from "vitest";
import { nodeHost } from "../../cli/node-host.ts";
import { encodeCanonical } from "../../lib/canonical-json.ts";
import { Server } from "../../lib/client/server.ts";
import { UploadSession } from "../../lib/client/upload-session.ts";
import { Uploader } from "../../lib/client/uploader.ts";
import { type Hash, hashBytes } from "../../lib/hash.ts";
import {
  CHUNK_BYTES_MAX,
  CHUNKS_PER_MANIFEST_MAX,
  encodeManifestPart,
  MANIFEST_BYTES_MAX,
  PARTS_PER_MANIFEST_MAX,
} from "../../lib/manifest.ts";
import { nameHashOf, parseName } from "../../lib/names.ts";
import type { SignedJson } from "../../lib/wire/signed.ts";
import { Publisher } from "./publisher.ts";

const network = inject("network");
const [nodeUrl = ""] = network.nodeUrls;
const HASH = hashBytes(new Uint8Array([1]));
const HEAD = {
  ...{ type: "holdfast-manifest-1", digest: HASH, contentType: "text/plain", metadata: {} },
  redundancy: { replicas: 1 },
};
const MiB = 1024 * 1024;
let publisher: Publisher;
let names = 0;

beforeAll(async () => {
  publisher = await Publisher.create(network);
});

/** Posts a Version of `size` bytes with this Manifest, rightly signed, under a new name. */
async function post(
  server: string,
  size: number,
  manifest: Uint8Array,
  receipts: SignedJson[] = [],
): Promise<{ status: number; code: string }> {
  const { domain, author } = publisher;
  const name = parseName(`object-${++names}`);
  const bytes = encodeCanonical({
    ...{
      type: "holdfast-version-1",
      domain,
      name,
      nameHash: nameHashOf(domain, name),
      sequence: 1,
      previous: null,
    },
    ...{ time: new Date().toISOString(), manifest: hashBytes(manifest), size, author },
  });
  const signature = await (await publisher.signer()).sign("holdfast", bytes);
  const version = { statement: base64.encode(bytes), signature };
  const statements = [{ version, manifest: base64.encode(manifest), witnesses: [] }];
  const body = JSON.stringify({ statements, receipts });
  const response = await fetch(`${server}/names`, { method: "POST", body });
  const answer = (await response.json()) as { code?: string };
  return { status: response.status, code: answer.code ?? "none" };
}

const chunks = (count: number, size = 1) => Array.from({ length: count }, () => ({ hash: HASH, size }));
/** As it stands: encodeManifest would refuse to write most of these. */
const manifestOf = (body: object) => encodeCanonical({ ...HEAD, ...body });
const ofLength = (bytes: number) => {
  const empty = manifestOf({ size: 0, chunks: [], metadata: { a: "" } });
  return manifestOf({ size: 0, chunks: [], metadata: { a: "x".repeat(bytes - empty.length) } });
};

const REFUSED: [string, number, Uint8Array, string, number][] = [
  [
    "8,001 chunks",
    8001,
    manifestOf({ size: 8001, chunks: chunks(CHUNKS_PER_MANIFEST_MAX + 1) }),
    "invalid-manifest",
    400,
  ],
  [
    "8,001 parts",
    8001,
    manifestOf({ size: 8001, parts: chunks(PARTS_PER_MANIFEST_MAX + 1) }),
    "invalid-manifest",
    400,
  ],
  ["no parts", 0, manifestOf({ size: 0, parts: [] }), "invalid-manifest", 400],
  ["a chunk of no bytes", 0, manifestOf({ size: 0, chunks: chunks(1, 0) }), "invalid-manifest", 400],
  ["a part of no bytes", 0, manifestOf({ size: 0, parts: chunks(1, 0) }), "invalid-manifest", 400],
  [
    "a chunk over 2 MiB",
    2 * MiB + 1,
    manifestOf({ size: 2 * MiB + 1, chunks: chunks(1, CHUNK_BYTES_MAX + 1) }),
    "invalid-manifest",
    400,
  ],
  ["half a byte", 0, manifestOf({ size: 0, chunks: chunks(2, 0.5) }), "invalid-manifest", 400],
  [
    "sizes whose sum is past 2^53",
    Number.MAX_SAFE_INTEGER,
    manifestOf({ size: Number.MAX_SAFE_INTEGER, parts: chunks(3, Number.MAX_SAFE_INTEGER) }),
    "invalid-manifest",
    400,
  ],
  [
    "sizes whose sum is past 2^53 by one",
    Number.MAX_SAFE_INTEGER,
    manifestOf({
      size: Number.MAX_SAFE_INTEGER,
      parts: [...chunks(1, Number.MAX_SAFE_INTEGER), ...chunks(1)],
    }),
    "invalid-manifest",
    400,
  ],
  [
    "a part of 2^53 bytes",
    Number.MAX_SAFE_INTEGER,
    manifestOf({ size: Number.MAX_SAFE_INTEGER, parts: chunks(1, 2 ** 53) }),
    "invalid-manifest",
    400,
  ],
  [
    "a size of 2^53",
    2 ** 53,
    manifestOf({ size: 2 ** 53, parts: chunks(1, 2 ** 53) }),
    "invalid-statement",
    400,
  ],
  ["a size that is not the sum", 5, manifestOf({ size: 5, chunks: chunks(4) }), "invalid-manifest", 400],
  [
    "33 replicas",
    0,
    manifestOf({ size: 0, chunks: [], redundancy: { replicas: 33 } }),
    "invalid-manifest",
    400,
  ],
  ["a part in place of a Manifest", 1, encodeManifestPart({ chunks: chunks(1) }), "invalid-manifest", 400],
  ["more bytes than a Manifest has", 0, ofLength(MANIFEST_BYTES_MAX + 1), "invalid-request", 400],
];

describe.each([
  ["an edge", network.edgeUrl],
  ["a home node", nodeUrl],
])("%s refuses", (_, server) => {
  test.each(REFUSED)("a Manifest with %s", async (_what, size, manifest, code, status) => {
    expect(await post(server, size, manifest)).toEqual({ status, code });
  });

  test("none for its form that is just within the limits", async () => {
    const within: [number, Uint8Array][] = [
      [8000, manifestOf({ size: 8000, chunks: chunks(CHUNKS_PER_MANIFEST_MAX) })],
      [CHUNK_BYTES_MAX, manifestOf({ size: CHUNK_BYTES_MAX, chunks: chunks(1, CHUNK_BYTES_MAX) })],
      [0, manifestOf({ size: 0, chunks: [] })],
    ];
    // An edge asks for the chunks then; a home node keeps the Version.
    const taken = server === nodeUrl ? { status: 200, code: "none" } : { status: 409, code: "not-held" };
    for (const [size, manifest] of within) expect(await post(server, size, manifest)).toEqual(taken);
  });
});

describe("an edge reads the parts, and refuses", () => {
  /** Stores the part on real nodes and posts a Manifest that names it as one of `size` bytes. */
  async function postPart(part: Uint8Array<ArrayBuffer>, size: number, more: Uint8Array<ArrayBuffer>[] = []) {
    const { domain, author } = publisher;
    const edge = new Server(network.edgeUrl, nodeHost.fetch);
    const request = { domain, author, bytes: 10 * MiB, delegation: null };
    const session = await UploadSession.open(request, await publisher.signer(), nodeHost);
    const uploader = new Uploader({ server: edge, session, copies: 1, handsOverEarly: true });
    const manifest = manifestOf({ size, parts: [{ hash: hashBytes(part), size }] });
    const stored = [part, manifest, ...more].map((bytes) => ({
      hash: hashBytes(bytes),
      size: bytes.length,
      bytes,
    }));
    await uploader.store(stored);
    return post(network.edgeUrl, size, manifest, await uploader.pendingReceipts());
  }

  const payload = new Uint8Array([1, 2, 3]);
  const payloadRef = { hash: hashBytes(payload), size: 3 };
  const inner = encodeManifestPart({ chunks: [payloadRef] });
  const partOf = (body: object) => encodeCanonical({ type: "holdfast-manifest-part-1", ...body });
  const partRefs: { hash: Hash; size: number }[] = [{ hash: hashBytes(inner), size: 3 }];

  test.each<[string, Uint8Array<ArrayBuffer>, string]>([
    ["a part that names parts", partOf({ size: 3, parts: partRefs }), "invalid-manifest"],
    [
      "a Manifest with parts in place of a part",
      manifestOf({ size: 3, parts: partRefs }),
      "invalid-manifest",
    ],
    [
      "a Manifest with chunks in place of a part",
      manifestOf({ size: 3, chunks: [payloadRef] }),
      "invalid-manifest",
    ],
    ["a part of 8,001 chunks", partOf({ size: 8001, chunks: chunks(8001) }), "invalid-manifest"],
    ["a part without chunks", partOf({ size: 3, chunks: [] }), "invalid-manifest"],
    [
      "a part of another size than its Manifest says",
      encodeManifestPart({ chunks: [payloadRef, payloadRef] }),
      "invalid-manifest",
    ],
    ["a part that is not canonical", new Uint8Array([...inner, 10]), "not-canonical"],
    ["a part that is larger than any", new Uint8Array(MANIFEST_BYTES_MAX + 1).fill(32), "body-too-large"],
  ])("%s", async (_, part, code) => {
    expect(await postPart(part, 3, [payload, inner])).toMatchObject({ code });
  });

  test("none that is a part", async () => {
    expect(await postPart(inner, 3, [payload])).toEqual({ status: 200, code: "none" });
    const read = await fetch(publisher.objectUrl(`object-${names}`));
    expect(new Uint8Array(await read.arrayBuffer())).toEqual(payload);
  });
});
