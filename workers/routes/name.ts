// GET /name/<nameHash>?domain=: a name's signed statements, newest first, with the newest Manifest. POST /name/lookup:
// the newest statements of many names.

import { Hono } from "hono";
import type { NamePage } from "../../durable-objects/shard-answers.ts";
import type { NewestVersion, StoredVersion } from "../../durable-objects/versions-table.ts";
import { base64 } from "../../lib/base64.ts";
import { HoldfastError } from "../../lib/error.ts";
import { type Hash, parseHash } from "../../lib/hash.ts";
import { parseDomain } from "../../lib/names.ts";
import {
  LOOKUP_BODY_MAX,
  type LookupAnswer,
  type NameAnswer,
  parseLookupRequest,
} from "../../lib/wire/names.ts";
import { type AppContext, type AppEnv, indexOf, readJson } from "../app.ts";
import { denylist } from "../denylist.ts";
import { type Name, pullUnknown, refreshLater } from "../pull-name.ts";
import { formatStored } from "../stored-statement.ts";

export const name = new Hono<AppEnv>()
  .post("/lookup", async (c) => {
    const { names } = parseLookupRequest(await readJson(c, LOOKUP_BODY_MAX));
    const newest = await indexOf(c).newest(names);
    c.header("Cache-Control", "no-store");
    const isDenied = names.map(({ domain, nameHash }) => denylist().hasName(domain, nameHash));
    return c.json<LookupAnswer>({
      names: newest.map((found, i) => formatNewest(isDenied[i] === true ? null : found)),
    });
  })
  .get("/:nameHash", async (c) => {
    const nameHash = parseHash(c.req.param("nameHash"));
    const domain = parseDomain(c.req.query("domain") ?? "");
    denylist().checkName(domain, nameHash);
    const before = c.req.query("before");
    const page = await pageOf(c, { domain, nameHash }, before === undefined ? null : parseHash(before));
    if (page.versions.length === 0 && page.elsewhere.length === 0 && before === undefined) {
      throw new HoldfastError("not-found", `no Version of this name of ${domain} is known here`);
    }
    c.header("Cache-Control", "no-cache");
    return c.json<NameAnswer>({
      nameHash,
      domain,
      versions: page.versions.map(formatStored),
      ...(page.removals.length === 0 ? {} : { removals: page.removals.map(formatStored) }),
      ...removedOn(page.versions),
      ...(page.elsewhere.length === 0 ? {} : { elsewhere: page.elsewhere }),
      ...(page.first === null ? {} : { first: formatStored(page.first) }),
      manifest: encodeAllowed(page.versions[0]?.manifest, page.manifest),
      next: page.hasMore ? (page.versions.at(-1)?.id ?? null) : null,
    });
  });

/** What is not here, or may be older here than elsewhere, peers are asked for. */
async function pageOf(c: AppContext, name: Name, before: Hash | null): Promise<NamePage> {
  const read = () => indexOf(c).shardOf(name.nameHash).listName(name.domain, name.nameHash, before);
  const page = await read();
  if (before !== null) return page;
  if (page.versions.length > 0) refreshLater(c, name);
  else if (await pullUnknown(c, name)) return read();
  return page;
}

/** A Manifest that is blocked is left out: the statement that names it stays, so that histories have no holes. */
function encodeAllowed(hash: Hash | undefined, bytes: Uint8Array | null): string | null {
  return bytes === null || hash === undefined || denylist().has(hash) ? null : base64.encode(bytes);
}

function removedOn(versions: readonly StoredVersion[]): Pick<NameAnswer, "removed"> {
  const removed = versions.flatMap(({ id, removedBy }) => (removedBy === null ? [] : [id]));
  return removed.length === 0 ? {} : { removed };
}

function formatNewest(found: NewestVersion | null): LookupAnswer["names"][number] {
  if (found === null) return { version: null, manifest: null };
  if (found === "known") return { version: null, manifest: null, isKnown: true };
  const { version, manifest, first, hasRemovals } = found;
  return {
    version: version === null ? null : formatStored(version),
    manifest: encodeAllowed(version?.manifest, manifest),
    ...(first === null ? {} : { first: formatStored(first) }),
    ...(hasRemovals ? { hasRemovals } : {}),
  };
}
