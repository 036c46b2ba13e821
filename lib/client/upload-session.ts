// One publish's leave to upload: a fresh session key, and the grant by which the domain's key vouches for it. The
// session key signs, for each node, which chunks are sent there; the node's receipt is checked before it counts.

import { BATCH_TYPE, encodeChunkBatch } from "../chunk-batch.ts";
import type { DeadlineLimits } from "../deadline.ts";
import { importSigner } from "../ed25519.ts";
import { HoldfastError } from "../error.ts";
import type { Hash } from "../hash.ts";
import type { Domain } from "../names.ts";
import { formatPublicKeyText } from "../openssh-key.ts";
import { createStatementSigner, type StatementSigner } from "../sshsig.ts";
import { type SignedStatement, signStatement } from "../statement.ts";
import { GRANT_LIFETIME_MAX_MS, grantKind, uploadKind, verifyReceipt } from "../upload.ts";
import type { Contact } from "../wire/nodes.ts";
import {
  formatSigned,
  formatSignedHeader,
  GRANT_HEADER,
  parseSigned,
  parseSignedJson,
  type SignedJson,
  UPLOAD_HEADER,
} from "../wire/signed.ts";
import type { ClientHost } from "./host.ts";
import { requestJson } from "./request.ts";
import type { UploadChunk } from "./uploader.ts";

const SEED_BYTES = 32;
/** Uploads report no progress of their own: the whole of a chunk's time is its idle time. */
const PUT_LIMITS: DeadlineLimits = { idleMs: 120_000, totalMs: 120_000 };

export interface GrantRequest {
  domain: Domain;
  author: string;
  /** Bytes that may be uploaded under the grant, counting every replica. */
  bytes: number;
  delegation: SignedStatement | null;
}

export class UploadSession {
  readonly domain: Domain;
  readonly grant: SignedStatement & { id: Hash };
  readonly #signer: StatementSigner;
  readonly #host: ClientHost;

  private constructor(
    domain: Domain,
    grant: SignedStatement & { id: Hash },
    signer: StatementSigner,
    host: ClientHost,
  ) {
    this.domain = domain;
    this.grant = grant;
    this.#signer = signer;
    this.#host = host;
  }

  /** Draws a session key and has `signer`, the user's key, grant it the upload. */
  static async open(
    request: GrantRequest,
    signer: StatementSigner,
    host: ClientHost,
  ): Promise<UploadSession> {
    const session = createStatementSigner(await importSigner(host.randomBytes(SEED_BYTES)));
    const nowMs = host.now();
    const grant = await signStatement(
      grantKind,
      {
        type: "holdfast-upload-grant-1",
        domain: request.domain,
        author: request.author,
        bytes: request.bytes,
        ...(request.delegation === null ? {} : { delegation: formatSigned(request.delegation) }),
        session: formatPublicKeyText(session.key),
        time: new Date(nowMs).toISOString(),
        expires: new Date(nowMs + GRANT_LIFETIME_MAX_MS).toISOString(),
      },
      signer,
    );
    return new UploadSession(request.domain, grant, session, host);
  }

  /** The headers under which `chunks` may be sent to `node`. */
  async headersFor(node: Contact, chunks: Hash[]): Promise<Record<string, string>> {
    const upload = await signStatement(
      uploadKind,
      {
        type: "holdfast-upload-1",
        grant: this.grant.id,
        node: node.id,
        chunks,
        time: new Date(this.#host.now()).toISOString(),
      },
      this.#signer,
    );
    return {
      accept: "application/json",
      [GRANT_HEADER]: formatSignedHeader(this.grant),
      [UPLOAD_HEADER]: formatSignedHeader(upload),
    };
  }

  /**
   * Sends chunks to the node that answers at `base`: one by itself, several in a batch. Returns the node's receipt once
   * it is verified. Throws the node's code, or `receipt-invalid`.
   */
  async put(
    base: string,
    node: Contact,
    chunks: readonly UploadChunk[],
    headers: Record<string, string>,
  ): Promise<SignedJson> {
    const [first] = chunks;
    const isOne = first !== undefined && chunks.length === 1;
    const answer = await requestJson(
      this.#host.fetch,
      isOne ? `${base}/chunk/${first.hash}` : `${base}/chunk`,
      {
        method: "PUT",
        headers: { ...headers, "content-type": isOne ? "application/octet-stream" : BATCH_TYPE },
        body: isOne ? first.bytes : encodeChunkBatch(chunks.map(({ bytes }) => bytes)),
        limits: PUT_LIMITS,
        parse: parseSignedJson,
      },
    );
    const signed = parseSigned(answer);
    const { body } = await verifyReceipt(signed, this.#host.now());
    const named = new Map(body.chunks.map(({ hash, size }) => [hash, size]));
    const namesAll = chunks.every(({ hash, size }) => named.get(hash) === size);
    if (body.node !== node.id || body.domain !== this.domain || !namesAll) {
      throw new HoldfastError("receipt-invalid", `the receipt of ${base} is for something else`);
    }
    return formatSigned(signed);
  }
}
