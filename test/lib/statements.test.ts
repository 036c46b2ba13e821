import { randomBytes } from "@noble/hashes/utils.js";
import { base64 } from "@scure/base";
import { describe, expect, test } from "vitest";
import { importSigner } from "../../lib/ed25519.ts";
import { type Hash, hashBytes, type NodeId } from "../../lib/hash.ts";
import { parseDomain } from "../../lib/names.ts";
import { formatPublicKeyText, nodeIdOf } from "../../lib/openssh-key.ts";
import { createStatementSigner } from "../../lib/sshsig.ts";
import { STATEMENT_BYTES_MAX, signStatement, verifyStatement } from "../../lib/statement.ts";
import {
  checkUpload,
  grantKind,
  receiptKind,
  type UploadGrant,
  uploadKind,
  verifyGrant,
  verifyReceipt,
} from "../../lib/upload.ts";
import {
  checkAge,
  checkSuccession,
  compareNewestFirst,
  parseVersion,
  verifyVersion,
} from "../../lib/version.ts";
import vectors from "../vectors/versions.json" with { type: "json" };

const signed = ({ text, signature }: { text: string; signature: string }) => ({
  bytes: new TextEncoder().encode(text) as Uint8Array<ArrayBuffer>,
  signature,
});
const newSigner = async () => createStatementSigner(await importSigner(randomBytes(32)));
const NOW = Date.parse("2026-06-01T00:00:00.000Z");
const iso = (ms: number) => new Date(ms).toISOString();

describe("Versions", () => {
  test.each(vectors.valid)("$why: verifies, with sha256sum's id", async (vector) => {
    const version = await verifyVersion(signed(vector));
    expect(version.id).toBe(vector.id);
    expect(base64.encode(version.key)).toBe(vectors.key);
  });

  test.each(vectors.invalid)(
    "$why: is refused with $code, although its signature is good",
    async (vector) => {
      await expect(verifyVersion(signed(vector))).rejects.toMatchObject({ code: vector.code });
    },
  );

  test("with any one byte flipped it is refused", async () => {
    const [vector] = vectors.valid;
    if (vector === undefined) throw new Error("no vector");
    for (let i = 0; i < vector.text.length; i += 5) {
      const altered = signed(vector);
      altered.bytes[i] = (altered.bytes[i] ?? 0) ^ 1;
      await expect(verifyVersion(altered)).rejects.toMatchObject({ code: "invalid-signature" });
    }
  });

  test("a Version over the size limit is refused before its signature is looked at", async () => {
    const huge = { bytes: new Uint8Array(STATEMENT_BYTES_MAX + 1), signature: "" };
    await expect(verifyVersion(huge)).rejects.toMatchObject({ code: "body-too-large" });
  });

  test("a successor names its parent, is one further, and is no older", () => {
    const [first, second] = vectors.valid.map(({ text, id }) => ({
      ...parseVersion(new TextEncoder().encode(text)),
      id: id as Hash,
    }));
    if (first === undefined || second === undefined) throw new Error("no vectors");
    expect(() => checkSuccession(null, first)).not.toThrow();
    expect(() => checkSuccession(first, second)).not.toThrow();
    const refusal = (code: string) => expect.objectContaining({ code });
    expect(() => checkSuccession(null, second)).toThrowError(refusal("unknown-previous"));
    expect(() => checkSuccession(first, first)).toThrowError(refusal("unknown-previous"));
    expect(() => checkSuccession(first, { ...second, sequence: 3 })).toThrowError(refusal("sequence-gap"));
    const older = { ...second, time: "2026-01-02T03:04:05.677Z" };
    expect(() => checkSuccession(first, older)).toThrowError(refusal("time-order"));
  });

  test("the order is sequence, then time, then id, newest first", () => {
    const head = (sequence: number, time: string, id: string) => ({
      sequence,
      time,
      id: id as Hash,
      previous: null,
    });
    const sorted = [head(2, "b", "1"), head(2, "a", "9"), head(2, "a", "8"), head(1, "z", "9")];
    expect([...sorted].reverse().sort(compareNewestFirst)).toEqual(sorted);
  });

  test("one dated more than five minutes ahead, and one that has run out, are refused", () => {
    const [first, second] = vectors.valid.map(({ text }) => parseVersion(new TextEncoder().encode(text)));
    if (first === undefined || second === undefined) throw new Error("no vectors");
    const time = Date.parse(first.time);
    expect(() => checkAge(first, time - 5 * 60_000)).not.toThrow();
    expect(() => checkAge(first, time - 5 * 60_000 - 1)).toThrowError(
      expect.objectContaining({ code: "time-order" }),
    );
    const end = Date.parse("2036-01-01T00:00:00.000Z");
    expect(() => checkAge(second, end - 1)).not.toThrow();
    expect(() => checkAge(second, end)).toThrowError(expect.objectContaining({ code: "statement-expired" }));
  });
});

describe("upload statements", () => {
  const chunk = hashBytes(Uint8Array.of(1));
  const node = hashBytes(Uint8Array.of(2)) as NodeId;

  async function newGrant(changes: Partial<UploadGrant> = {}) {
    const session = await newSigner();
    const body: UploadGrant = {
      type: "holdfast-upload-grant-1",
      domain: parseDomain("example.org"),
      author: "a@example.org",
      session: formatPublicKeyText(session.key),
      bytes: 1000,
      time: iso(NOW),
      expires: iso(NOW + 3_600_000),
      ...changes,
    };
    return { session, grant: await signStatement(grantKind, body, await newSigner()) };
  }

  test("a grant lives from its time to its expiry, 24 hours at most", async () => {
    const { grant } = await newGrant();
    await expect(verifyGrant(grant, NOW)).resolves.toMatchObject({ id: grant.id });
    await expect(verifyGrant(grant, NOW + 3_600_000)).rejects.toMatchObject({ code: "grant-expired" });
    await expect(verifyGrant(grant, NOW - 3_600_000)).rejects.toMatchObject({ code: "grant-mismatch" });
    const long = (await newGrant({ expires: iso(NOW + 24 * 3_600_000 + 1) })).grant;
    await expect(verifyGrant(long, NOW)).rejects.toMatchObject({ code: "grant-mismatch" });
  });

  test("a grant is no receipt and no Version, and another namespace's signature is none", async () => {
    const { grant } = await newGrant();
    await expect(verifyStatement(uploadKind, grant)).rejects.toMatchObject({ code: "wrong-type" });
    await expect(verifyStatement(receiptKind, grant)).rejects.toMatchObject({ code: "wrong-namespace" });
    await expect(verifyVersion(grant)).rejects.toMatchObject({ code: "wrong-namespace" });
  });

  test("an upload counts only for its grant, session key, node and chunks", async () => {
    const { grant, session } = await newGrant();
    const body = {
      type: "holdfast-upload-1",
      grant: grant.id,
      node,
      chunks: [chunk],
      time: iso(NOW),
    } as const;
    const upload = await signStatement(uploadKind, { ...body, chunks: [chunk] }, session);
    expect(() => checkUpload(grant, upload, node, chunk)).not.toThrow();
    const mismatch = expect.objectContaining({ code: "grant-mismatch" });
    expect(() => checkUpload(grant, upload, node, hashBytes(Uint8Array.of(3)))).toThrowError(mismatch);
    expect(() => checkUpload(grant, upload, chunk as NodeId, chunk)).toThrowError(mismatch);
    const stranger = await signStatement(uploadKind, { ...body, chunks: [chunk] }, await newSigner());
    expect(() => checkUpload(grant, stranger, node, chunk)).toThrowError(mismatch);
    const other = (await newGrant()).grant;
    expect(() => checkUpload(other, upload, node, chunk)).toThrowError(mismatch);
  });

  test("a receipt is the node's own, and fresh", async () => {
    const signer = await newSigner();
    const receipt = (id: NodeId) =>
      signStatement(
        receiptKind,
        {
          type: "holdfast-receipt-1",
          node: id,
          domain: parseDomain("example.org"),
          chunks: [{ hash: chunk, size: 1 }],
          time: iso(NOW),
        },
        signer,
      );
    const own = await receipt(nodeIdOf(signer.key));
    await expect(verifyReceipt(own, NOW)).resolves.toMatchObject({ id: own.id });
    await expect(verifyReceipt(own, NOW + 25 * 3_600_000)).rejects.toMatchObject({ code: "receipt-invalid" });
    await expect(verifyReceipt(own, NOW - 3_600_000)).rejects.toMatchObject({ code: "receipt-invalid" });
    await expect(verifyReceipt(await receipt(node), NOW)).rejects.toMatchObject({ code: "receipt-invalid" });
  });

  test("a body that its own parser would refuse is not signed", async () => {
    await expect(newGrant({ bytes: 0 })).rejects.toMatchObject({ code: "invalid-statement" });
  });
});
