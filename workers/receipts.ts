// Receipts as publishers hand them in: each verified, each from a node that is registered here.

import type { HeldChunk } from "../durable-objects/chunks-table.ts";
import type { IndexClient } from "../durable-objects/index-client.ts";
import { HoldfastError } from "../lib/error.ts";
import type { Domain } from "../lib/names.ts";
import { verifyReceipt } from "../lib/upload.ts";
import { parseSigned, type SignedJson } from "../lib/wire/signed.ts";

/** The holders that receipts prove for `domains`; others prove nothing here. Throws `receipt-invalid`. */
export async function verifyReceipts(
  index: IndexClient,
  receipts: SignedJson[],
  domains: ReadonlySet<Domain>,
): Promise<HeldChunk[]> {
  const verified = await Promise.all(
    receipts.map((receipt) => verifyReceipt(parseSigned(receipt), Date.now())),
  );
  const members = await index.members(verified.map(({ body }) => body.node));
  return verified.flatMap(({ body }) => {
    const member = members.get(body.node);
    if (member === undefined) {
      throw new HoldfastError("receipt-invalid", `node ${body.node} is not registered here`);
    }
    const { lostMs } = member;
    // What was received before the disk was lost went with it.
    if (!domains.has(body.domain) || Date.parse(body.time) < lostMs) return [];
    return body.chunks.map(({ hash, size }) => ({ chunk: hash, node: body.node, sizeBytes: size, lostMs }));
  });
}
