// Names on a running home node: which Versions it keeps, with which witnesses, and how it answers look-ups.

import { base64 } from "@scure/base";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { digestOf } from "../../home-node/store/digest.ts";
import { type Hash, hashBytes } from "../../lib/hash.ts";
import { formatPublicKeyText } from "../../lib/openssh-key.ts";
import type { StatementSigner } from "../../lib/sshsig.ts";
import { signStatement } from "../../lib/statement.ts";
import {
  NAMES_BODY_MAX,
  type NameAnswer,
  type NamesResult,
  type PublishedJson,
  parseNameAnswer,
  parseNamesAnswer,
  VERSIONS_PER_PAGE,
} from "../../lib/wire/names.ts";
import { formatSigned, type SignedJson } from "../../lib/wire/signed.ts";
import { witnessKind } from "../../lib/witness.ts";
import {
  Cleanup,
  createSigner,
  DOMAIN,
  isoTime,
  OTHER_DOMAIN,
  type PublicationChange,
  postNames,
  problemIn,
  publicationOf,
  startTestNode,
  TestDns,
  type TestNode,
} from "./home-node-fixture.ts";

const cleanup = new Cleanup();
let dns: TestDns;
let node: TestNode;

beforeEach(async () => {
  dns = await TestDns.start(cleanup);
  node = await startTestNode(cleanup, dns);
});
afterEach(() => cleanup.run());

type Publication = Awaited<ReturnType<typeof publicationOf>>;

async function post(statements: PublishedJson[], target = node): Promise<NamesResult[]> {
  const response = await postNames(target, statements);
  expect(response.status).toBe(200);
  return parseNamesAnswer(await response.json()).results;
}

async function look(
  published: Pick<Publication, "nameHash">,
  query = "",
  target = node,
): Promise<NameAnswer> {
  const response = await fetch(`${target.url}/name/${published.nameHash}?domain=${DOMAIN}${query}`);
  expect(response.status).toBe(200);
  return parseNameAnswer(await response.json());
}

/** A chain of Versions of one name, the first one first. */
async function chainOf(name: string, length: number): Promise<Publication[]> {
  const chain: Publication[] = [];
  for (let sequence = 1; sequence <= length; sequence++) {
    const previous: Hash | null = chain.at(-1)?.id ?? null;
    chain.push(await publicationOf(node, name, { version: { sequence, previous } }));
  }
  return chain;
}

async function witnessOf(
  { id }: Publication,
  edge: StatementSigner,
  change: { version?: Hash; edge?: Hash; key?: string } = {},
): Promise<SignedJson> {
  const signed = await signStatement(
    witnessKind,
    {
      type: witnessKind.type,
      version: id,
      domain: DOMAIN,
      key: formatPublicKeyText(dns.alice.key),
      edge: hashBytes(edge.key),
      time: isoTime(node.clock.now()),
      dns: { records: [], ad: false, ttlSeconds: 5 },
      ...change,
    },
    edge,
  );
  return formatSigned(signed);
}

describe("POST /names", () => {
  it("keeps a Version and its Manifest, and serves both", async () => {
    const published = await publicationOf(node, "app.iso");
    expect(await post([published.json])).toEqual([{ id: published.id, status: "accepted", witnesses: [] }]);
    const answer = await look(published);
    expect(answer.versions).toEqual([{ ...published.json.version, witnesses: [] }]);
    expect(answer.manifest).toBe(published.json.manifest);
    expect(answer.next).toBeNull();
    const chunk = await fetch(`${node.url}/chunk/${digestOf(published.manifest)}`);
    expect(new Uint8Array(await chunk.arrayBuffer())).toEqual(published.manifest);
  });

  it("answers `known` to a Version that it keeps already", async () => {
    const published = await publicationOf(node, "app.iso");
    await post([published.json]);
    expect(await post([published.json])).toEqual([{ id: published.id, status: "known", witnesses: [] }]);
    expect((await look(published)).versions).toHaveLength(1);
  });

  it("takes Versions in any order, also without their parents, and lists them newest first", async () => {
    const chain = await chainOf("app.iso", 5);
    const [first, , third, , fifth] = chain.map((one) => one.json);
    for (const json of [fifth, first, third]) await post(json === undefined ? [] : [json]);
    const { versions } = await look({ nameHash: chain[0]?.nameHash ?? digestOf(new Uint8Array()) });
    expect(versions.map((version) => version.statement)).toEqual(
      [fifth, third, first].map((json) => json?.version.statement),
    );
  });

  it("keeps the good entries of a request beside refused ones", async () => {
    const good = await publicationOf(node, "good.iso");
    const bad = await publicationOf(node, "bad.iso", { signer: await createSigner() });
    const results = await post([bad.json, good.json]);
    expect(results).toMatchObject([
      { id: bad.id, status: "refused", problem: { code: "key-not-authorized" } },
      { id: good.id, status: "accepted" },
    ]);
  });

  it("answers the first refusal as a problem, with all results, where nothing was kept", async () => {
    const bad = await publicationOf(node, "bad.iso", { signer: await createSigner() });
    const response = await postNames(node, [bad.json, bad.json]);
    expect(response.status).toBe(403);
    expect(response.headers.get("content-type")).toBe("application/problem+json");
    const refused = { id: bad.id, status: "refused" };
    expect(await response.json()).toMatchObject({ code: "key-not-authorized", results: [refused, refused] });
  });

  it("keeps names of one hash but two domains apart", async () => {
    const mine = await publicationOf(node, "app.iso");
    const version = {
      domain: OTHER_DOMAIN,
      nameHash: mine.nameHash,
      author: "olga@example.net",
      sequence: 9,
      previous: mine.id,
    };
    const theirs = await publicationOf(node, "app.iso", { version, isPrivate: true, signer: dns.other });
    expect((await post([mine.json, theirs.json])).map((result) => result.status)).toEqual([
      "accepted",
      "accepted",
    ]);
    expect((await look(mine)).versions).toEqual([{ ...mine.json.version, witnesses: [] }]);
  });

  it("keeps everything over a restart", async () => {
    const chain = await chainOf("app.iso", 3);
    await post(chain.map((one) => one.json));
    const [first] = chain;
    if (first === undefined) throw new Error("the chain is empty");
    const before = await look(first);
    await node.node.stop();
    const again = await startTestNode(cleanup, dns, { dir: node.dir });
    expect(await look(first, "", again)).toEqual(before);
    expect((await again.node.status()).versions).toBe(3);
  });
});

describe("POST /names refuses", () => {
  async function refusal(change: PublicationChange, target = node): Promise<string> {
    const published = await publicationOf(target, "app.iso", change);
    return problemIn(await postNames(target, [published.json]));
  }
  afterEach(async () =>
    expect(await node.node.status()).toMatchObject({ versions: 0, chunks: 0, usedBytes: 0 }),
  );

  it("a Version by a key that is not the domain's", async () => {
    expect(await refusal({ signer: await createSigner() })).toBe("403 key-not-authorized");
  });

  it("a Version in the name of somebody whose key it is not", async () => {
    expect(await refusal({ version: { author: "bob@example.org" } })).toBe("403 author-mismatch");
  });

  it("a Version dated more than five minutes ahead", async () => {
    const time = isoTime(node.clock.now() + 5 * 60_000 + 1);
    expect(await refusal({ version: { time } })).toBe("422 time-order");
  });

  it("a Version that has expired", async () => {
    const [time, expires] = [isoTime(node.clock.now() - 2_000), isoTime(node.clock.now())];
    expect(await refusal({ version: { time, expires } })).toBe("422 statement-expired");
  });

  it("a Version that was signed in another namespace", async () => {
    const { json, signed } = await publicationOf(node, "app.iso");
    const signature = await dns.alice.sign("holdfast-node", signed.bytes);
    const response = await postNames(node, [{ ...json, version: { ...json.version, signature } }]);
    expect(await problemIn(response)).toBe("403 wrong-namespace");
  });

  it("a Version whose bytes are not canonical", async () => {
    const { json, signed } = await publicationOf(node, "app.iso");
    const bytes = new TextEncoder().encode(`${new TextDecoder().decode(signed.bytes)} `);
    const version = formatSigned({ bytes, signature: await dns.alice.sign("holdfast", bytes) });
    expect(await problemIn(await postNames(node, [{ ...json, version }]))).toBe("400 not-canonical");
  });

  it("a Manifest that is not the one the Version names", async () => {
    const { json } = await publicationOf(node, "app.iso");
    const { manifest } = await publicationOf(node, "other.iso");
    const response = await postNames(node, [{ ...json, manifest: base64.encode(manifest) }]);
    expect(await problemIn(response)).toBe("422 content-hash-mismatch");
  });

  it("a Version whose size is not its Manifest's", async () => {
    expect(await refusal({ version: { size: 11 } })).toBe("400 invalid-manifest");
  });

  it("a name that does not hash to its Name Hash", async () => {
    const { nameHash } = await publicationOf(node, "other.iso");
    expect(await refusal({ version: { nameHash } })).toBe("422 name-hash-mismatch");
  });

  it("a domain outside the pledge, without asking its DNS", async () => {
    const picky = await startTestNode(cleanup, dns, { pledge: { domains: [OTHER_DOMAIN] } });
    expect(await refusal({}, picky)).toBe("403 domain-not-accepted");
    expect(dns.questions).toBe(0);
  });

  it("a Version for which the pledge has no room", async () => {
    const small = await startTestNode(cleanup, dns, { pledge: { bytes: 100 } });
    expect(await refusal({}, small)).toBe("507 quota-exceeded");
  });

  it.each([
    ["not JSON", "{"],
    ["without statements", '{"statements":[],"receipts":[]}'],
    ["with a field too many", '{"statements":[],"receipts":[],"more":1}'],
  ])("a body %s", async (_what, body) => {
    expect(await problemIn(await fetch(`${node.url}/names`, { method: "POST", body }))).toBe(
      "400 invalid-request",
    );
  });

  it("a body larger than the limit", async () => {
    const body = " ".repeat(NAMES_BODY_MAX + 1);
    expect(await problemIn(await fetch(`${node.url}/names`, { method: "POST", body }))).toBe(
      "413 body-too-large",
    );
  });
});

describe("witnesses", () => {
  it("are kept with their Version and gathered over several posts, one of each edge", async () => {
    const [one, two] = [await createSigner(), await createSigner()];
    const published = await publicationOf(node, "app.iso");
    const [first, second] = [await witnessOf(published, one), await witnessOf(published, two)];
    await post([{ ...published.json, witnesses: [first] }]);
    await post([{ ...published.json, witnesses: [first, second] }]);
    const { versions } = await look(published);
    expect(versions[0]?.witnesses).toEqual([first, second]);
  });

  it("are not lost when they arrive at the same time", async () => {
    const published = await publicationOf(node, "app.iso");
    const edges = await Promise.all(Array.from({ length: 6 }, createSigner));
    const witnesses = await Promise.all(edges.map((edge) => witnessOf(published, edge)));
    await Promise.all(witnesses.map((witness) => post([{ ...published.json, witnesses: [witness] }])));
    const kept = (await look(published)).versions[0]?.witnesses ?? [];
    expect(new Set(kept.map(({ statement }) => statement))).toEqual(
      new Set(witnesses.map(({ statement }) => statement)),
    );
  });

  it("are dropped where they are not this Version's, not under its key, or not signed by the edge they name", async () => {
    const edge = await createSigner();
    const published = await publicationOf(node, "app.iso");
    const other = await publicationOf(node, "other.iso");
    const good = await witnessOf(published, edge);
    const witnesses = [
      await witnessOf(published, edge, { version: other.id }),
      await witnessOf(published, edge, { key: formatPublicKeyText(edge.key) }),
      await witnessOf(published, edge, { edge: hashBytes(dns.alice.key) }),
      { ...good, signature: (await witnessOf(other, edge)).signature },
      published.json.version,
      good,
    ];
    await post([{ ...published.json, witnesses }]);
    expect((await look(published)).versions[0]?.witnesses).toEqual([good]);
  });
});

describe("GET /name", () => {
  it("answers in pages, newest first, with the Manifest on the first", async () => {
    const chain = await chainOf("app.iso", VERSIONS_PER_PAGE + 3);
    for (let i = 0; i < chain.length; i += 50) await post(chain.slice(i, i + 50).map((one) => one.json));
    const [oldest] = chain;
    if (oldest === undefined) throw new Error("the chain is empty");
    const first = await look(oldest);
    expect(first.versions).toHaveLength(VERSIONS_PER_PAGE);
    expect(first.manifest).toBe(chain.at(-1)?.json.manifest);
    const second = await look(oldest, `&before=${first.next}`);
    expect([second.versions.length, second.manifest, second.next]).toEqual([3, null, null]);
    const listed = [...first.versions, ...second.versions].map((version) => version.statement);
    expect(listed).toEqual(chain.map((one) => one.json.version.statement).reverse());
  });

  it("answers 404 for a name that it does not know, and for one of another domain", async () => {
    const published = await publicationOf(node, "app.iso");
    await post([published.json]);
    const { nameHash } = await publicationOf(node, "other.iso");
    const ask = async (path: string) => problemIn(await fetch(node.url + path));
    expect(await ask(`/name/${nameHash}?domain=${DOMAIN}`)).toBe("404 not-found");
    expect(await ask(`/name/${published.nameHash}?domain=${OTHER_DOMAIN}`)).toBe("404 not-found");
    expect(await ask(`/name/${published.nameHash}?domain=${DOMAIN}&before=${nameHash}`)).toBe(
      "404 not-found",
    );
    expect(await ask(`/name/${published.nameHash}`)).toBe("400 invalid-request");
    expect(await ask(`/name/${published.nameHash}?domain=EXAMPLE.ORG`)).toBe("400 invalid-domain");
  });
});

describe("GET /version", () => {
  it("serves the exact statement and its signature, which ssh-keygen's format carries", async () => {
    const published = await publicationOf(node, "app.iso");
    await post([published.json]);
    const statement = await fetch(`${node.url}/version/${published.id}`);
    expect(new Uint8Array(await statement.arrayBuffer())).toEqual(published.signed.bytes);
    const signature = await fetch(`${node.url}/version/${published.id}.sig`);
    expect(await signature.text()).toBe(published.signed.signature);
    for (const response of [statement, signature]) {
      expect(response.headers.get("cache-control")).toBe("public, max-age=31536000, immutable");
      expect(response.headers.get("x-content-type-options")).toBe("nosniff");
    }
    expect(signature.headers.get("content-type")).toBe("text/plain; charset=utf-8");
  });

  it("answers 404 for a Version that it does not keep", async () => {
    const { id } = await publicationOf(node, "app.iso");
    expect(await problemIn(await fetch(`${node.url}/version/${id}`))).toBe("404 not-found");
    expect(await problemIn(await fetch(`${node.url}/version/${id}.sig`))).toBe("404 not-found");
  });
});
