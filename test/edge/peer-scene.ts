// Statements as a peer has accepted them, and what a test tells peers to answer.

import { SELF } from "cloudflare:test";
import { beforeAll } from "vitest";
import { base64 } from "../../lib/base64.ts";
import { type Hash, hashBytes, type NodeId } from "../../lib/hash.ts";
import { encodeManifest } from "../../lib/manifest.ts";
import { nameHashOf, parseDomain, parseName } from "../../lib/names.ts";
import { formatPublicKeyText } from "../../lib/openssh-key.ts";
import type { StatementSigner } from "../../lib/sshsig.ts";
import { type SignedStatement, signStatement } from "../../lib/statement.ts";
import { versionKind } from "../../lib/version.ts";
import type { NamesAnswer, PublishedJson } from "../../lib/wire/names.ts";
import { formatSigned } from "../../lib/wire/signed.ts";
import { witnessKind } from "../../lib/witness.ts";
import {
  type Asked,
  domainSigner,
  PEER_ORIGINS,
  PEERED_DOMAIN,
  peerSigner,
  SCRIPT_ORIGIN,
  type Scripted,
} from "./peer-script.ts";
import { bytesOf, EDGE } from "./test-node.ts";

export const domain = parseDomain(PEERED_DOMAIN);
/** The peers know nothing of one file's names when they play for the next. */
const FILE = crypto.randomUUID();
const TIME = "2026-01-01T00:00:00.000Z";
let names = 0;

beforeAll(async () => {
  await (await fetch(`${SCRIPT_ORIGIN}/script`, { method: "DELETE" })).body?.cancel();
});

export interface PeerObject {
  nameText: string;
  nameHash: Hash;
  id: Hash;
  sequence: number;
  bytes: Uint8Array<ArrayBuffer>;
  chunk: Hash;
  posted: PublishedJson;
}

export interface PeerObjectOptions {
  name?: string;
  /** The Version that it follows. */
  previous?: Pick<PeerObject, "id" | "sequence" | "nameText">;
  seed?: number;
  /** Who signs, and who witnesses. */
  signer?: StatementSigner;
  witness?: StatementSigner;
  expires?: string;
}

export function origin(peer: number): string {
  const found = PEER_ORIGINS[peer];
  if (found === undefined) throw new RangeError("there are eight peers");
  return found;
}

/** A Version of one chunk that peer number `peer` has accepted. */
export async function objectAt(peer: number, options: PeerObjectOptions = {}): Promise<PeerObject> {
  const { previous, seed = 1 } = options;
  const nameText = previous?.nameText ?? options.name ?? `${FILE}/object-${++names}`;
  const name = parseName(nameText);
  const nameHash = nameHashOf(domain, name);
  const sequence = (previous?.sequence ?? 0) + 1;
  const bytes = bytesOf(1000, seed + sequence);
  const chunk = hashBytes(bytes);
  const manifest = encodeManifest(
    { size: 1000, digest: chunk, contentType: "text/plain", metadata: {}, redundancy: { replicas: 1 } },
    { chunks: [{ hash: chunk, size: 1000 }] },
  );
  const signer = options.signer ?? (await domainSigner());
  const version = await signStatement(
    versionKind,
    {
      ...{ type: "holdfast-version-1", domain, name, nameHash, sequence, previous: previous?.id ?? null },
      ...{ manifest: hashBytes(manifest), size: 1000, author: `me@${domain}`, time: TIME },
      ...(options.expires === undefined ? {} : { expires: options.expires }),
    },
    signer,
  );
  const witness = await witnessOf(version, signer.key, options.witness ?? (await peerSigner(peer)));
  const posted = {
    version: formatSigned(version),
    manifest: base64.encode(manifest),
    witnesses: [formatSigned(witness)],
  };
  return { nameText, nameHash, id: version.id, sequence, bytes, chunk, posted };
}

function witnessOf(version: { id: Hash }, key: Uint8Array, edge: StatementSigner): Promise<SignedStatement> {
  const dns = { records: [], ad: false, ttlSeconds: 60 };
  return signStatement(
    witnessKind,
    {
      ...{ type: "holdfast-witness-1", version: version.id, domain, key: formatPublicKeyText(key) },
      ...{ edge: hashBytes(edge.key), time: TIME, dns },
    },
    edge,
  );
}

/** Has peer number `peer`, or another origin, answer so from now on. */
export async function script(who: number | string, path: string, answer: Scripted["answer"]): Promise<void> {
  const scripted: Scripted = { origin: typeof who === "number" ? origin(who) : who, path, answer };
  const response = await fetch(`${SCRIPT_ORIGIN}/script`, { method: "POST", body: JSON.stringify(scripted) });
  await response.body?.cancel();
}

/** What was asked of peers since this was last asked for. */
export async function asked(): Promise<Asked[]> {
  return (await fetch(`${SCRIPT_ORIGIN}/asked`)).json();
}

/** Has peer number `peer` know these Versions of their name. */
export function knows(peer: number, ...objects: PeerObject[]): Promise<void> {
  const [first] = objects;
  const body = { versions: objects.map(({ posted }) => posted), removals: [], hasMore: false };
  return script(peer, `/peer/name/${first?.nameHash}`, { body: JSON.stringify(body) });
}

/** Has peer number `peer` say that this node holds the chunk. */
export function tellsHolder(
  peer: number,
  chunk: Hash,
  contact: { id: NodeId; key: string; url: string | null },
): Promise<void> {
  const body = { chunks: [{ hash: chunk, holders: [contact.id] }], nodes: [contact], online: [contact.id] };
  return script(peer, "/chunk/locate", { body: JSON.stringify(body) });
}

export async function handOver(...statements: PublishedJson[]): Promise<NamesAnswer["results"]> {
  const response = await SELF.fetch(`${EDGE}/peer/names`, {
    method: "POST",
    body: JSON.stringify({ statements, receipts: [] }),
  });
  const { results }: NamesAnswer = await response.json();
  return results;
}
