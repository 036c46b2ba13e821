// Publishes or fetches a batch of small objects, with the client library, in one process.

import { nodeHost } from "../../cli/node-host.ts";
import {
  chunkSourceOf,
  domainKeysOf,
  edgeOf,
  loadSettings,
  type Settings,
  serversOf,
} from "../../cli/settings.ts";
import { loadSigner } from "../../cli/signing-key.ts";
import { download } from "../../lib/client/download.ts";
import { type BatchRequest, publishBatch } from "../../lib/client/publish-batch.ts";
import { type ResolvedObject, resolveMany } from "../../lib/client/resolve.ts";
import type { HoldfastError } from "../../lib/error.ts";
import { DEFAULT_CONTENT_TYPE } from "../../lib/manifest.ts";
import { nameHashOf, parseDomain, parseName } from "../../lib/names.ts";
import { randomBlocks } from "../random-file.ts";
import { inputOf, report, secondsOf } from "./program.ts";

export interface SmallObjects {
  work: "publish" | "fetch";
  domain: string;
  /** Names are `<prefix>/<number>`; the bytes follow from the name. */
  prefix: string;
  count: number;
  sizeBytes: number;
  keyFile: string;
}

const input = inputOf<SmallObjects>();
const settings = await loadSettings({ key: input.keyFile });
const domain = parseDomain(input.domain);
const names = Array.from({ length: input.count }, (_, i) => parseName(`${input.prefix}/${i}`));
const work = input.work === "publish" ? publishAll : fetchAll;
report({ seconds: await secondsOf(() => work(settings)) });

type Name = (typeof names)[number];

async function publishAll(from: Settings): Promise<void> {
  const options = {
    domain,
    author: `bench@${domain}`,
    host: nodeHost,
    edge: edgeOf(from),
    servers: serversOf(from),
    domainKeys: domainKeysOf(from),
    signer: await loadSigner(from),
  };
  const head = { redundancy: { replicas: 1 }, contentType: DEFAULT_CONTENT_TYPE, sizeBytes: input.sizeBytes };
  const requests = names.map((name): BatchRequest => ({ ...head, name, open: () => blocksOf(name) }));
  for await (const { request, status } of publishBatch(requests, options)) {
    if (status !== "published") throw new Error(`${request.name}: ${status}`);
  }
}

async function fetchAll(from: Settings): Promise<void> {
  const servers = serversOf(from);
  const source = chunkSourceOf(servers, ({ error }) => {
    throw error;
  });
  const options = { servers, source, domainKeys: domainKeysOf(from), now: nodeHost.now };
  const nameHashes = names.map((name) => nameHashOf(domain, name));
  for await (const resolved of resolveMany(domain, nameHashes, options)) {
    await Promise.all(resolved.map((one) => fetchOne(one, source)));
  }
}

async function fetchOne(
  one: ResolvedObject | HoldfastError,
  source: ReturnType<typeof chunkSourceOf>,
): Promise<void> {
  if (one instanceof Error) throw one;
  await download(one.manifest, { write: async () => undefined }, { source, hasher: nodeHost.hasher });
}

async function* blocksOf(name: Name): AsyncGenerator<Uint8Array> {
  yield* randomBlocks(name, input.sizeBytes);
}
