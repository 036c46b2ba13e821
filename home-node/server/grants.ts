// Upload grants as one node sees them: verified once and remembered, asked of DNS for each chunk (the resolver has
// its own cache), and charged for what was stored under them. A grant's bytes are counted on each node by itself.

import { authorizeFor } from "../../lib/authority.ts";
import type { DomainKeyResolver } from "../../lib/domain-keys.ts";
import { HoldfastError } from "../../lib/error.ts";
import { ExpiringCache } from "../../lib/expiring-cache.ts";
import type { Hash, NodeId } from "../../lib/hash.ts";
import { type VerifiedStatement, verifyStatement } from "../../lib/statement.ts";
import {
  checkUpload,
  claimOfGrant,
  delegationOfGrant,
  type Upload,
  type UploadGrant,
  uploadKind,
  verifyGrant,
} from "../../lib/upload.ts";
import { GRANT_HEADER, parseSignedHeader, UPLOAD_HEADER } from "../../lib/wire/signed.ts";
import type { Clock } from "../clock.ts";
import type { GrantCharges } from "./grant-charges.ts";

export const CACHED_GRANTS_MAX = 512;
/** One names at most 128 chunks; each is asked for once a chunk. */
export const CACHED_UPLOADS_MAX = 1_024;

export type Grant = VerifiedStatement<UploadGrant>;

export class Grants {
  readonly #node: NodeId;
  readonly #resolver: DomainKeyResolver;
  readonly #clock: Clock;
  // Keyed by the header's text: what was verified is exactly what was sent.
  readonly #grants = new ExpiringCache<Grant>(CACHED_GRANTS_MAX);
  readonly #uploads = new ExpiringCache<VerifiedStatement<Upload>>(CACHED_UPLOADS_MAX);
  readonly #charges: GrantCharges;

  constructor(deps: { node: NodeId; resolver: DomainKeyResolver; clock: Clock; charges: GrantCharges }) {
    this.#node = deps.node;
    this.#resolver = deps.resolver;
    this.#clock = deps.clock;
    this.#charges = deps.charges;
  }

  /** The grant under which `chunk` may be sent to this node. Throws what is wrong with it. */
  async authorize(headers: Headers, chunk: Hash): Promise<Grant> {
    const { grant } = await this.#open(headers, () => chunk);
    return grant;
  }

  /** The grant, and the chunks that may be sent under it in a batch. Throws what is wrong with it. */
  async authorizeBatch(headers: Headers): Promise<{ grant: Grant; chunks: ReadonlySet<Hash> }> {
    const { grant, upload } = await this.#open(headers, ({ body: { chunks } }) => chunks[0] ?? null);
    return { grant, chunks: new Set(upload.body.chunks) };
  }

  async #open(
    headers: Headers,
    chunkOf: (upload: VerifiedStatement<Upload>) => Hash | null,
  ): Promise<{ grant: Grant; upload: VerifiedStatement<Upload> }> {
    const grant = await this.#grant(requireHeader(headers, GRANT_HEADER));
    const upload = await this.#upload(requireHeader(headers, UPLOAD_HEADER), grant);
    const chunk = chunkOf(upload);
    if (chunk === null) throw new HoldfastError("grant-mismatch", "the upload names no chunk");
    checkUpload(grant, upload, this.#node, chunk);
    const claim = claimOfGrant(grant, this.#clock.now());
    await authorizeFor(this.#resolver, claim, delegationOfGrant(grant));
    return { grant, upload };
  }

  /** Runs `store` with `bytes` charged to the grant; what was not newly stored is credited back. Throws `grant-exceeded`. */
  async charge(
    grant: Grant,
    bytes: number,
    store: () => Promise<"stored" | "held">,
  ): Promise<"stored" | "held"> {
    const { id, body } = grant;
    const expiresMs = Date.parse(body.expires);
    if (this.#charges.bytesOf(id) + bytes > body.bytes) {
      throw new HoldfastError("grant-exceeded", `the upload grant is for ${body.bytes} bytes`);
    }
    this.#charges.add(id, bytes, expiresMs);
    let outcome: "stored" | "held" = "held";
    try {
      outcome = await store();
      return outcome;
    } finally {
      if (outcome === "held") this.#charges.add(id, -bytes, expiresMs);
    }
  }

  async #grant(header: string): Promise<Grant> {
    const now = this.#clock.now();
    const known = this.#grants.get(header, now);
    if (known !== null) return known;
    const grant = await verifyGrant(parseSignedHeader(header), now);
    this.#grants.set(header, grant, Date.parse(grant.body.expires));
    return grant;
  }

  async #upload(header: string, grant: Grant): Promise<VerifiedStatement<Upload>> {
    const known = this.#uploads.get(header, this.#clock.now());
    if (known !== null) return known;
    const upload = await verifyStatement(uploadKind, parseSignedHeader(header));
    this.#uploads.set(header, upload, Date.parse(grant.body.expires));
    return upload;
  }
}

function requireHeader(headers: Headers, name: string): string {
  const value = headers.get(name);
  if (value === null) throw new HoldfastError("grant-missing", `the ${name} header is missing`);
  return value;
}
