// What an operator blocks is given out in no way, and nothing else is touched: by name, domain, hash of a Manifest or chunk,
// in ranges, from the cache, as referrals, in listings and through the relay; and who may say so.

import { evictDurableObject, SELF } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { afterEach, describe, expect, test, vi } from "vitest";
import {
  type DenialChange,
  type DenialsAnswer,
  type OperatorStatement,
  operatorKind,
} from "../../lib/denial.ts";
import { importSigner } from "../../lib/ed25519.ts";
import { encodeHash, type Hash, hashBytes } from "../../lib/hash.ts";
import { nameHashOf, parseDomain, parseName } from "../../lib/names.ts";
import { leafPrefix, shardName } from "../../lib/overlay/shards.ts";
import { createStatementSigner, type StatementSigner } from "../../lib/sshsig.ts";
import { signStatement } from "../../lib/statement.ts";
import { REFERRAL_TYPE } from "../../lib/wire/chunks.ts";
import { formatSigned, type SignedJson } from "../../lib/wire/signed.ts";
import { operatorSigner } from "./operator-key.ts";
import { bytesOf, EDGE } from "./test-node.ts";
import { TestHolder } from "./test-objects.ts";

const REASON = "court order 12/2027";
let objects = 0;
/** Blocked by the test, and allowed again after it. */
const blocked = new Set<string>();

afterEach(async () => {
  for (const subject of blocked) await change({ action: "allow", subject });
  blocked.clear();
});

async function edgeId(): Promise<Hash> {
  return (await (await SELF.fetch(`${EDGE}/status`)).json<{ id: Hash }>()).id;
}

interface Said extends Partial<OperatorStatement> {
  signer?: StatementSigner;
}

async function signed(change: DenialChange, { signer, ...rest }: Said = {}): Promise<SignedJson> {
  const body: OperatorStatement = {
    ...{ type: operatorKind.type, edge: await edgeId(), time: new Date().toISOString(), change },
    nonce: encodeHash(crypto.getRandomValues(new Uint8Array(32))),
    ...rest,
  };
  return formatSigned(await signStatement(operatorKind, body, signer ?? (await operatorSigner())));
}

function post(statement: SignedJson): Promise<Response> {
  return SELF.fetch(`${EDGE}/operator/denials`, { method: "POST", body: JSON.stringify(statement) });
}

async function change(wanted: DenialChange): Promise<DenialsAnswer> {
  const response = await post(await signed(wanted));
  expect(response.status).toBe(200);
  return response.json<DenialsAnswer>();
}

async function deny(subject: string, status: 410 | 451 = 410): Promise<void> {
  blocked.add(subject);
  expect(await change({ action: "deny", subject, status, reason: REASON })).toEqual({
    changed: true,
    denials: [],
  });
}

const shardOf = (hash: Hash) => env.PARTITION_SHARD.getByName(shardName(leafPrefix(hash, 4)));

async function codeOf(response: Response): Promise<string> {
  return (await response.json<{ code: string }>()).code;
}

async function statusOf(url: string, init: RequestInit): Promise<number> {
  const response = await SELF.fetch(url, init);
  await response.arrayBuffer();
  return response.status;
}

/** An object of three chunks, and another one, of another domain. */
async function publishTwo() {
  const n = ++objects;
  const holder = await TestHolder.create();
  const domain = parseDomain(`d${n}.example.org`);
  const [name, other] = [parseName("a/blocked.bin"), parseName("other.bin")];
  const bytes = bytesOf(2_500_000, n);
  const version = await holder.publish({ domain, name, bytes });
  const otherBytes = bytesOf(5000, n + 100);
  await holder.publish({ domain: parseDomain(`e${n}.example.org`), name: other, bytes: otherBytes });
  const url = `${EDGE}/obj/${domain}/${name}`;
  const chunk = hashBytes(bytes.slice(0, 1024 * 1024));
  const manifest = (await SELF.fetch(url, { method: "HEAD" })).headers.get("ETag")?.slice(1, -1) as Hash;
  const readOther = async () => (await SELF.fetch(`${EDGE}/obj/e${n}.example.org/${other}`)).arrayBuffer();
  return {
    ...{ holder, domain, name, url, bytes, chunk, manifest, version, nameHash: nameHashOf(domain, name) },
    expectOtherUntouched: async () => expect(new Uint8Array(await readOther())).toEqual(otherBytes),
  };
}

type Published = Awaited<ReturnType<typeof publishTwo>>;

/** Every way to ask for the object at /obj. */
function waysToRead({ url, manifest, version }: Published): [string, RequestInit][] {
  return [
    [url, {}],
    [url, { method: "HEAD" }],
    [url, { headers: { Range: "bytes=2000000-2000009" } }],
    [url, { headers: { Range: "bytes=0-9,1500000-1500009" } }],
    [url, { headers: { "If-None-Match": `"${manifest}"` } }],
    [url, { headers: { Accept: REFERRAL_TYPE } }],
    [`${url}?version=${version}`, {}],
  ];
}

describe("an object", () => {
  test.each(["name", "nameHash", "domain", "manifest", "chunk", "version"] as const)(
    "that is blocked by its %s is given in no way; others are, and it is when it is allowed again",
    async (by) => {
      const object = await publishTwo();
      const ways = waysToRead(object);
      const before = await Promise.all(ways.map(([url, init]) => statusOf(url, init)));
      expect(before).toEqual([200, 200, 206, 206, 304, 200, 200]);
      const subject = by === "name" ? `${object.domain}/${object.name}` : object[by];
      await deny(subject);
      for (const [url, init] of ways) {
        const response = await SELF.fetch(url, init);
        expect(response.status).toBe(410);
        expect(response.headers.get("Cache-Control")).toBe("no-store");
        if (init.method !== "HEAD") expect(await codeOf(response)).toBe("gone");
      }
      await object.expectOtherUntouched();
      await change({ action: "allow", subject });
      const after = await SELF.fetch(object.url);
      expect(new Uint8Array(await after.arrayBuffer())).toEqual(object.bytes);
    },
  );

  test("that may not be given for legal reasons says so, why, and who blocks it", async () => {
    const { url, domain, name } = await publishTwo();
    await deny(`${domain}/${name}`, 451);
    const response = await SELF.fetch(url);
    expect(response.status).toBe(451);
    expect(response.headers.get("Link")).toBe(`<${EDGE}/>; rel="blocked-by"`);
    expect(await response.json()).toMatchObject({
      code: "unavailable-for-legal-reasons",
      detail: `this edge may not give ${domain}/${name}: ${REASON}`,
    });
  });

  test("that is blocked stays so after the list's shard was evicted", async () => {
    const { url, nameHash } = await publishTwo();
    await deny(nameHash);
    await evictDurableObject(env.PARTITION_SHARD.getByName(shardName("")));
    expect((await SELF.fetch(url)).status).toBe(410);
  });
});

describe("statements of a name", () => {
  test("are not given where the name or its domain is blocked, in any way", async () => {
    const { domain, nameHash, version, expectOtherUntouched } = await publishTwo();
    const place = { id: version, nameHash, domain };
    await shardOf(version).write({ held: [], references: [], statements: [place] });
    expect((await SELF.fetch(`${EDGE}/version/${version}`)).status).toBe(200);
    const lookup = async () => {
      const body = JSON.stringify({ names: [{ domain, nameHash }] });
      const response = await SELF.fetch(`${EDGE}/name/lookup`, { method: "POST", body });
      return (await response.json<{ names: { version: unknown }[] }>()).names[0]?.version ?? null;
    };
    const recent = async () => {
      const status = await (await SELF.fetch(`${EDGE}/status`)).json<{ recent: { version: Hash }[] }>();
      return status.recent.some((object) => object.version === version);
    };
    await vi.waitUntil(recent, { timeout: 10_000, interval: 200 });
    expect(await lookup()).not.toBe(null);
    for (const subject of [nameHash, domain]) {
      await deny(subject);
      expect((await SELF.fetch(`${EDGE}/name/${nameHash}?domain=${domain}`)).status).toBe(410);
      expect((await SELF.fetch(`${EDGE}/version/${version}`)).status).toBe(410);
      expect((await SELF.fetch(`${EDGE}/version/${version}.sig`)).status).toBe(410);
      expect(await lookup()).toBe(null);
      expect(await recent()).toBe(false);
      await change({ action: "allow", subject });
    }
    expect((await SELF.fetch(`${EDGE}/name/${nameHash}?domain=${domain}`)).status).toBe(200);
    await expectOtherUntouched();
  });

  test("stay where only the Manifest is blocked, which is left out", async () => {
    const { domain, nameHash, manifest } = await publishTwo();
    await deny(manifest);
    const answer = await SELF.fetch(`${EDGE}/name/${nameHash}?domain=${domain}`);
    expect(await answer.json()).toMatchObject({ versions: [expect.anything()], manifest: null });
  });
});

describe("a chunk", () => {
  test("that is blocked is given neither from the cache nor by a redirect, a referral, a look-up or the relay", async () => {
    const { holder, url, chunk, bytes, expectOtherUntouched } = await publishTwo();
    for (const _ of [1, 2]) await (await SELF.fetch(url)).arrayBuffer();
    const get = (init: RequestInit = {}) =>
      SELF.fetch(`${EDGE}/chunk/${chunk}`, { redirect: "manual", ...init });
    await vi.waitUntil(async () => (await get()).status === 200, { timeout: 10_000, interval: 50 });
    const relayed = `${EDGE}/via/${holder.id}/chunk/${chunk}`;
    const next = hashBytes(bytes.slice(1024 * 1024, 2 * 1024 * 1024));
    const locate = async () => {
      const body = JSON.stringify({ chunks: [chunk, next] });
      const response = await SELF.fetch(`${EDGE}/chunk/locate`, { method: "POST", body });
      const { chunks } = await response.json<{ chunks: { hash: Hash; holders: string[] }[] }>();
      return chunks.map(({ hash, holders }) => [hash, holders.length]);
    };
    expect((await SELF.fetch(relayed)).status).toBe(200);
    expect(await locate()).toEqual([
      [chunk, 1],
      [next, 1],
    ]);
    const { reads } = holder;
    await deny(chunk, 451);
    for (const init of [{}, { method: "HEAD" }, { headers: { Accept: REFERRAL_TYPE } }])
      expect((await get(init)).status).toBe(451);
    expect((await SELF.fetch(relayed)).status).toBe(451);
    expect((await SELF.fetch(relayed, { method: "PUT", body: "x" })).status).toBe(451);
    expect(await locate()).toEqual([
      [chunk, 0],
      [next, 1],
    ]);
    expect(holder.reads).toBe(reads);
    const key = `https://chunk.holdfast.invalid/${chunk}`;
    await vi.waitUntil(async () => (await caches.default.match(key)) === undefined);
    await expectOtherUntouched();
  });
});

describe("a folder's listing", () => {
  test("leaves out what is blocked by name or hash, and has another tag; a blocked index is an answer of its own", async () => {
    const holder = await TestHolder.create();
    const domain = parseDomain(`tree${++objects}.example.org`);
    const root = { domain, prefix: parseName("rel") };
    const entry = (name: string, seed: number) => {
      const [version, manifest] = [hashBytes(bytesOf(3, seed)), hashBytes(bytesOf(4, seed))];
      return { name: parseName(name), size: 5, version, manifest };
    };
    const entries = [entry("a", 1), entry("b", 2), entry("c", 3)];
    await holder.publishIndex(root, entries);
    const url = `${EDGE}/obj/${domain}/rel/`;
    const list = async () => {
      const response = await SELF.fetch(url, { headers: { Accept: "application/json" } });
      const { files } = await response.json<{ files: { name: string }[] }>();
      return { names: files.map(({ name }) => name), tag: response.headers.get("ETag") };
    };
    const whole = await list();
    expect(whole.names).toEqual(["a", "b", "c"]);
    await deny(`${domain}/rel/a`);
    await deny(entries[2]?.manifest ?? "");
    const left = await list();
    expect(left.names).toEqual(["b"]);
    expect(left.tag).not.toBe(whole.tag);
    await deny(domain);
    for (const headers of [{ Accept: "application/json" }, { "If-None-Match": left.tag ?? "" }])
      expect((await SELF.fetch(url, { headers })).status).toBe(410);
  });
});

describe("who may block", () => {
  const subject = "nobody.example.org";
  const wanted = { action: "deny", subject, status: 410, reason: "" } as const;

  async function listed(): Promise<string[]> {
    return (await change({ action: "list" })).denials.map((denial) => denial.subject);
  }

  test("is the operator, who sees what is blocked", async () => {
    await deny(subject, 451);
    const { denials } = await change({ action: "list" });
    expect(denials).toMatchObject([{ subject, status: 451, reason: REASON }]);
    expect(await change({ action: "deny", subject, status: 451, reason: REASON })).toMatchObject({
      changed: false,
    });
    expect(await change({ action: "allow", subject })).toMatchObject({ changed: true });
    expect(await change({ action: "allow", subject })).toMatchObject({ changed: false });
    expect(await listed()).toEqual([]);
  });

  test("is nobody with another key, another edge's statement, an old one, or a changed one", async () => {
    const stranger = createStatementSigner(await importSigner(new Uint8Array(32).fill(78)));
    const old = new Date(Date.now() - 6 * 60_000).toISOString();
    const ahead = new Date(Date.now() + 6 * 60_000).toISOString();
    const good = await signed(wanted);
    const other = await signed({ ...wanted, subject: "else.example.org" });
    const cases: [SignedJson, string][] = [
      [await signed(wanted, { signer: stranger }), "key-not-authorized"],
      [await signed(wanted, { edge: hashBytes(new Uint8Array([1])) }), "statement-replayed"],
      [await signed(wanted, { time: old }), "time-order"],
      [await signed(wanted, { time: ahead }), "time-order"],
      [{ ...good, statement: other.statement }, "invalid-signature"],
      [await signed({ action: "list" }, { signer: stranger }), "key-not-authorized"],
      [await signed({ ...wanted, subject: "no domain" }), "invalid-domain"],
    ];
    for (const [statement, code] of cases) expect(await codeOf(await post(statement))).toBe(code);
    expect(await listed()).toEqual([]);
  });

  test("is not who repeats a statement, also after an eviction", async () => {
    blocked.add(subject);
    const statement = await signed(wanted);
    expect((await post(statement)).status).toBe(200);
    await change({ action: "allow", subject });
    for (const _ of ["at once", "after an eviction"]) {
      const again = await post(statement);
      expect([again.status, await codeOf(again)]).toEqual([403, "statement-replayed"]);
      await evictDurableObject(env.PARTITION_SHARD.getByName(shardName("")));
    }
    expect(await listed()).toEqual([]);
  });

  test("is nobody who posts the same twice at once: it counts once", async () => {
    blocked.add(subject);
    const statement = await signed(wanted);
    const statuses = await Promise.all([post(statement), post(statement)]);
    expect(statuses.map(({ status }) => status).sort()).toEqual([200, 403]);
  });
});
