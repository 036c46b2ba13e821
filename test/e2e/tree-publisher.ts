// Publishes trees for tests: the files, then the index of the Versions that they have.

import { readFile } from "node:fs/promises";
import { nodeHost } from "../../cli/node-host.ts";
import { domainKeysOf, edgeOf, type Settings, serversOf } from "../../cli/settings.ts";
import { type BatchOutcome, type BatchRequest, publishBatch } from "../../lib/client/publish-batch.ts";
import { importSigner } from "../../lib/ed25519.ts";
import { parseName } from "../../lib/names.ts";
import { parsePrivateKeyFile } from "../../lib/openssh-key.ts";
import { createStatementSigner } from "../../lib/sshsig.ts";
import {
  encodeTreeIndex,
  INDEX_CONTENT_TYPE,
  indexNameOf,
  nameInTree,
  type TreeEntry,
  type TreeRoot,
} from "../../lib/tree-index.ts";

export interface TreeSource {
  root: TreeRoot;
  author: string;
  keyFile: string;
  /** By their names below the root. */
  files: Readonly<Record<string, Uint8Array | string>>;
}

/** Where to publish, and how to ask DNS. */
export type TreeNetwork = Pick<Settings, "edgeUrls" | "dohUrls">;

export async function publishTree(network: TreeNetwork, source: TreeSource): Promise<void> {
  const paths = Object.keys(source.files).map(parseName);
  const requests = paths.map((path) =>
    requestOf(nameInTree(source.root, path), source.files[path] ?? "", "application/octet-stream"),
  );
  const outcomes = await publishAll(network, source, requests);
  const entries = outcomes.map((outcome, i) => entryOf(paths[i] ?? outcome.request.name, outcome));
  const index = encodeTreeIndex(source.root, entries);
  await publishAll(network, source, [requestOf(indexNameOf(source.root), index, INDEX_CONTENT_TYPE)]);
}

async function publishAll(
  { edgeUrls, dohUrls }: TreeNetwork,
  { root, author, keyFile }: TreeSource,
  requests: BatchRequest[],
): Promise<BatchOutcome[]> {
  const settings: Settings = { edgeUrls, dohUrls, fromUrls: [], key: null, author: null };
  const pair = parsePrivateKeyFile(await readFile(keyFile, "utf8"));
  if (pair === null) throw new TypeError("the test's key is encrypted");
  const options = {
    ...{ domain: root.domain, author, host: nodeHost },
    ...{ edge: edgeOf(settings), servers: serversOf(settings), domainKeys: domainKeysOf(settings) },
    signer: createStatementSigner(await importSigner(pair.seed)),
    onEvent: () => undefined,
  };
  return Array.fromAsync(publishBatch(requests, options));
}

function requestOf(
  name: BatchRequest["name"],
  content: Uint8Array | string,
  contentType: string,
): BatchRequest {
  const bytes = typeof content === "string" ? new TextEncoder().encode(content) : content;
  async function* blocks() {
    yield bytes;
  }
  return { name, open: blocks, sizeBytes: bytes.length, replicas: 3, contentType };
}

function entryOf(path: TreeEntry["name"], outcome: BatchOutcome): TreeEntry {
  if (outcome.status === "refused") throw outcome.error;
  const { id, body } = outcome.version;
  return { name: path, size: body.size, version: id, manifest: body.manifest };
}
