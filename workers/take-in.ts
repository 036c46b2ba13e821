// Statements that another edge has accepted, taken in here: each checked as if nobody had before, except for one thing. Whether
// home nodes hold what a Version lists, its first edge saw by receipts, and says so by its witness: the Version is listed
// here on that, its chunks are asked for there, and nothing is charged or repaired here for it.

import type { EdgeKey } from "../durable-objects/edge-key.ts";
import type { ToldVersion } from "../durable-objects/elsewhere-table.ts";
import type { IndexClient } from "../durable-objects/index-client.ts";
import type { NewRemoval } from "../durable-objects/removals-table.ts";
import type { NewVersion } from "../durable-objects/versions-table.ts";
import type { DomainKeyResolver } from "../lib/domain-keys.ts";
import { HoldfastError, isHoldfastError } from "../lib/error.ts";
import type { Hash } from "../lib/hash.ts";
import type { Domain } from "../lib/names.ts";
import { verifyPublication, verifyPublishedRemoval } from "../lib/publication.ts";
import { verifyRemoval } from "../lib/removal.ts";
import { verifyVersion } from "../lib/version.ts";
import type { NamesResult, PostedJson, PostedRemovalJson, PublishedJson } from "../lib/wire/names.ts";
import { parseSigned, type SignedJson } from "../lib/wire/signed.ts";
import { verifyWitness, type Witnessed } from "../lib/witness.ts";
import {
  type Admit,
  attempt,
  endUses,
  idOf,
  resultOf,
  type Step,
  toNewRemoval,
  toNewVersion,
} from "./commit.ts";
import { denylist } from "./denylist.ts";
import { identifyPeers } from "./peers.ts";

/** What taking in needs of the edge and of the request that it is done for. */
export interface TakingIn {
  index: IndexClient;
  resolver: DomainKeyResolver;
  edge: EdgeKey;
  /** As at POST /names. */
  admit: Admit;
  /** True: what they follow is not to be had. */
  mayLackParents?: boolean;
}

interface Checked<T> {
  statement: T;
  /** The peer whose witness came with it. */
  peer: string;
}

type Peers = Awaited<ReturnType<typeof identifyPeers>>;

/** What became of each, in the order of the statements. Versions come before Removals; those of a name oldest first. */
export async function takeIn(statements: readonly PostedJson[], deps: TakingIn): Promise<NamesResult[]> {
  const peers = await identifyPeers(deps.index.settings.peerEdges);
  const published = statements.filter((posted) => "version" in posted);
  const removals = statements.filter((posted) => "removal" in posted);
  const versionResults = await takeVersionsIn(published, peers, deps);
  const removalResults = await takeRemovalsIn(removals, peers, deps);
  return statements.flatMap((posted) => {
    const results = "version" in posted ? versionResults : removalResults;
    return results.splice(0, 1);
  });
}

async function takeVersionsIn(
  published: PublishedJson[],
  peers: Peers,
  deps: TakingIn,
): Promise<NamesResult[]> {
  const steps = await Promise.all(
    published.map((posted) =>
      attempt(
        () => idOf(posted.version),
        () => checkVersion(posted, peers, deps),
      ),
    ),
  );
  const versions = await admitted(steps, deps);
  const results = await deps.index.append(versions, "peer");
  const refused = (id: Hash) => results.get(id)?.status === "refused";
  await deps.index.noteElsewhere(
    steps.flatMap((step) => (step.ok && refused(step.value.statement.id) ? [toldOf(step.value)] : [])),
  );
  return steps.map((step) =>
    step.ok ? resultOf(step.value.statement, results.get(step.value.statement.id)) : step.result,
  );
}

function toldOf({ statement, peer }: Checked<NewVersion>): ToldVersion {
  const { id, domain, nameHash, sequence } = statement;
  return { id, domain, nameHash, sequence, peer };
}

async function takeRemovalsIn(
  posted: PostedRemovalJson[],
  peers: Peers,
  deps: TakingIn,
): Promise<NamesResult[]> {
  const steps = await Promise.all(
    posted.map((entry) =>
      attempt(
        () => idOf(entry.removal),
        () => checkRemoval(entry, peers, deps),
      ),
    ),
  );
  const removals = await admitted(steps, deps);
  const results = await deps.index.remove(removals, "peer");
  await endUses(deps.index, removals);
  return steps.map((step) =>
    step.ok ? resultOf(step.value.statement, results.get(step.value.statement.id)) : step.result,
  );
}

/** The witness first: strangers' statements cost DNS no question. */
async function checkVersion(
  posted: PublishedJson,
  peers: Peers,
  { resolver, edge, mayLackParents = false }: TakingIn,
): Promise<Checked<NewVersion>> {
  const peer = await witnessingPeer(
    await verifyVersion(parseSigned(posted.version)),
    posted.witnesses,
    peers,
  );
  // One that has expired since is part of the name's history: it is not served, and its successors follow it.
  const publication = await verifyPublication(posted, resolver, Date.now(), { acceptsExpired: true });
  const { version, manifest } = publication;
  denylist().check(version.id);
  denylist().checkName(version.body.domain, version.body.nameHash);
  denylist().checkManifest(version.body.manifest, manifest);
  const statement = await toNewVersion({ ...publication, ifMatch: false }, edge);
  return { statement: { ...statement, mayLackParent: mayLackParents }, peer };
}

async function checkRemoval(
  posted: PostedRemovalJson,
  peers: Peers,
  { resolver, edge }: TakingIn,
): Promise<Checked<NewRemoval>> {
  const peer = await witnessingPeer(
    await verifyRemoval(parseSigned(posted.removal)),
    posted.witnesses,
    peers,
  );
  const removal = await verifyPublishedRemoval(posted, resolver, Date.now());
  return { statement: await toNewRemoval(removal, edge), peer };
}

/** The peer that has accepted the statement. Throws `witness-mismatch`; `unreachable` where a peer's key is not known now. */
async function witnessingPeer(
  statement: Witnessed,
  witnesses: readonly SignedJson[],
  { byId, isComplete }: Peers,
): Promise<string> {
  for (const json of witnesses) {
    const edge = await edgeOf(json, statement);
    const peer = edge === null ? undefined : byId.get(edge);
    if (peer !== undefined) return peer;
  }
  if (isComplete)
    throw new HoldfastError(
      "witness-mismatch",
      "no edge that is a peer of this one has accepted the statement",
    );
  throw new HoldfastError("unreachable", "not all peers of this edge can be asked for their keys now");
}

async function edgeOf(json: SignedJson, statement: Witnessed): Promise<Hash | null> {
  try {
    return (await verifyWitness(parseSigned(json), statement)).body.edge;
  } catch (error) {
    if (isHoldfastError(error)) return null;
    throw error;
  }
}

/** What passed the checks, once its domains may write; indexed by its ids. */
async function admitted<T extends NewVersion | NewRemoval>(
  steps: readonly Step<Checked<T>>[],
  { index, admit }: TakingIn,
): Promise<T[]> {
  const statements = steps.flatMap((step) => (step.ok ? [step.value.statement] : []));
  for (const domain of new Set<Domain>(statements.map((statement) => statement.domain))) await admit(domain);
  if (statements.length > 0)
    await index.write({
      held: [],
      references: [],
      statements: statements.map(({ id, nameHash, domain }) => ({ id, nameHash, domain })),
    });
  return statements;
}
