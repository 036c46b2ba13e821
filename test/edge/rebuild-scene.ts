// Versions and Removals as a publisher has signed them and an edge has witnessed them, with their Manifests and chunks: what
// volunteers keep of an edge that has lost its index.

import { env } from "cloudflare:workers";
import { edgeKey } from "../../durable-objects/edge-key.ts";
import type { DomainKeys } from "../../lib/domain-keys.ts";
import { formatKeyRecords, parseDomainRecords } from "../../lib/domain-records.ts";
import { importSigner } from "../../lib/ed25519.ts";
import { type Hash, hashBytes } from "../../lib/hash.ts";
import { encodeManifest, encodeManifestPart, type ManifestHead } from "../../lib/manifest.ts";
import { type Domain, nameHashOf, parseDomain, parseName } from "../../lib/names.ts";
import { leafPrefix, shardName } from "../../lib/overlay/shards.ts";
import { removalKind } from "../../lib/removal.ts";
import { createStatementSigner, type StatementSigner } from "../../lib/sshsig.ts";
import { type SignedStatement, signStatement } from "../../lib/statement.ts";
import { type Version, versionKind } from "../../lib/version.ts";
import { formatSigned } from "../../lib/wire/signed.ts";
import { signWitness, type Witnessed } from "../../lib/witness.ts";
import { REBUILT_DOMAIN, REBUILT_KEY_FILL } from "./dns-domains.ts";
import type { KeptStatement } from "./keeping-node.ts";
import { bytesOf } from "./test-node.ts";

export const DOMAIN = parseDomain(REBUILT_DOMAIN);
export const AUTHOR = "alice@example.org";
/** A key that DNS shows nowhere: of the past, or of nobody. */
export const OLD_KEY_FILL = 77;
let names = 0;

/** A Version with all that belongs to it. */
export interface Kept extends KeptStatement {
  body: Version;
  bytes: Uint8Array<ArrayBuffer>;
  manifestBytes: Uint8Array<ArrayBuffer>;
  /** Its Manifest, parts and payload. */
  chunks: Uint8Array<ArrayBuffer>[];
}

export interface VersionOptions {
  domain?: Domain;
  /** Left out: a name that nobody else has. */
  name?: string;
  previous?: Kept | null;
  keyFill?: number;
  /** The edge whose witness came along; null: none did. Left out: null. */
  witnessBy?: StatementSigner | null;
  /** Of a Version that does not say its name. */
  nameHash?: Hash;
  /** Its one chunk is listed by a part of the Manifest. */
  inParts?: boolean;
  changes?: Partial<Version>;
}

export function signerOf(fill: number): Promise<StatementSigner> {
  return importSigner(new Uint8Array(32).fill(fill)).then(createStatementSigner);
}

/** The edge under test. */
export async function ownEdge(): Promise<StatementSigner> {
  return (await edgeKey(env.EDGE_KEY)).signer;
}

export async function makeVersion(options: VersionOptions = {}): Promise<Kept> {
  const { domain = DOMAIN, previous = null, keyFill = REBUILT_KEY_FILL, inParts = false } = options;
  const name = parseName(options.name ?? previous?.body.name ?? `name ${++names}`);
  const sequence = (previous?.body.sequence ?? 0) + 1;
  const bytes = bytesOf(2000 + sequence, (names * 7 + sequence) % 250);
  const head = { contentType: "text/plain", metadata: {}, redundancy: { replicas: 1 } };
  const chunks = chunksOf({ ...head, size: bytes.length, digest: hashBytes(bytes) }, bytes, inParts);
  const [manifestBytes = bytes] = chunks;
  const nameHash = options.nameHash ?? nameHashOf(domain, name);
  const body: Version = {
    ...{ type: "holdfast-version-1", domain, nameHash, sequence, previous: previous?.id ?? null },
    ...(options.nameHash === undefined ? { name } : {}),
    ...{ time: `2026-01-01T00:00:0${sequence}.000Z`, manifest: hashBytes(manifestBytes), size: bytes.length },
    ...{ author: AUTHOR, ...options.changes },
  };
  const signed = await signStatement(versionKind, body, await signerOf(keyFill));
  return { ...(await kept(signed, nameHash, options)), body, bytes, manifestBytes, chunks };
}

/** What takes back everything of a Version's name through it. */
export async function makeRemoval({ body }: Kept, options: VersionOptions = {}): Promise<KeptStatement> {
  const { domain, nameHash, sequence } = body;
  const removal = {
    ...{ type: removalKind.type, domain, nameHash, author: AUTHOR, reason: "no longer" },
    ...{ time: "2026-01-02T00:00:00.000Z", through: sequence },
  } as const;
  const signed = await signStatement(
    removalKind,
    removal,
    await signerOf(options.keyFill ?? REBUILT_KEY_FILL),
  );
  return kept(signed, nameHash, options);
}

function chunksOf(head: ManifestHead, bytes: Uint8Array<ArrayBuffer>, inParts: boolean) {
  const chunks = [{ hash: hashBytes(bytes), size: bytes.length }];
  if (!inParts) return [encodeManifest(head, { chunks }), bytes];
  const part = encodeManifestPart({ chunks });
  return [encodeManifest(head, { parts: [{ hash: hashBytes(part), size: bytes.length }] }), part, bytes];
}

async function kept(
  statement: Witnessed & SignedStatement,
  nameHash: Hash,
  { witnessBy = null }: VersionOptions,
): Promise<KeptStatement> {
  const witnesses = witnessBy === null ? [] : [formatSigned(await witness(statement, witnessBy))];
  return { id: statement.id, nameHash, listed: { ...formatSigned(statement), witnesses } };
}

/** What an edge signed that saw the key in DNS. */
function witness(statement: Witnessed, edge: StatementSigner): Promise<SignedStatement> {
  const { domain } = statement.body;
  const records = formatKeyRecords({ blob: statement.key, emails: [] });
  const evidence = {
    ...{ ad: false, records, resolvers: ["test"], agreement: 1, resolvedAt: "2026-01-01T00:00:00.000Z" },
    ...{ ttlSeconds: 60, stale: false },
  };
  const domainKeys: DomainKeys = { ...parseDomainRecords(records), domain, evidence };
  const authority = {
    right: { by: "domain-key" as const },
    isAuthorVerified: false,
    domainKeys,
    authorKeys: null,
  };
  return signWitness(statement, authority, hashBytes(edge.key), Date.parse("2026-01-01T01:00:00.000Z"), edge);
}

export function shardOf(hash: Hash) {
  return env.PARTITION_SHARD.getByName(shardName(leafPrefix(hash, 4)));
}
