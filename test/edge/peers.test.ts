// What an edge takes from its peers: what they hand over and what it asks them for is checked here, as far as it can be, and
// listed only then. Each test has names of its own, because an isolate remembers what it has asked.

import { SELF } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { beforeEach, describe, expect, test } from "vitest";
import { parseSettings } from "../../durable-objects/env.ts";
import { importSigner } from "../../lib/ed25519.ts";
import { hashBytes } from "../../lib/hash.ts";
import { parsePrivateKeyFile } from "../../lib/openssh-key.ts";
import { createStatementSigner } from "../../lib/sshsig.ts";
import { verifyVersion } from "../../lib/version.ts";
import { parseNameAnswer } from "../../lib/wire/names.ts";
import { PEER_HEADER, PEERS_MAX } from "../../lib/wire/peers.ts";
import { parseSigned } from "../../lib/wire/signed.ts";
import { parseEdgeStatus } from "../../lib/wire/status.ts";
import { verifyWitness } from "../../lib/witness.ts";
import { asked, domain, handOver, knows, objectAt, origin, type PeerObject } from "./peer-scene.ts";
import { EDGE } from "./test-node.ts";

const stranger = async () => createStatementSigner(await importSigner(new Uint8Array(32).fill(7)));
const ask = (path: string, headers: Record<string, string> = {}) =>
  SELF.fetch(`${EDGE}${path}`, { headers, redirect: "manual" });
const nameUrl = ({ nameHash }: Pick<PeerObject, "nameHash">) => `/name/${nameHash}?domain=${domain}`;

async function listed(object: PeerObject): Promise<string[]> {
  const response = await ask(nameUrl(object), { [PEER_HEADER]: "1" });
  if (response.status !== 200) return [];
  const { versions } = parseNameAnswer(await response.json());
  return Promise.all(versions.map(async (one) => (await verifyVersion(parseSigned(one))).id));
}

beforeEach(async () => {
  await asked();
});

describe("statements that a peer hands over", () => {
  test("are listed with this edge's own witness, without anybody holding their chunks here", async () => {
    const object = await objectAt(0);
    expect(await handOver(object.posted)).toMatchObject([{ id: object.id, status: "accepted" }]);
    const { versions } = parseNameAnswer(await (await ask(nameUrl(object))).json());
    const [version] = versions;
    const verified = await verifyVersion(parseSigned(version ?? object.posted.version));
    const witness = await verifyWitness(
      parseSigned(version?.witnesses[0] ?? object.posted.version),
      verified,
    );
    const pair = parsePrivateKeyFile(env.EDGE_KEY);
    expect(witness.body.edge).toBe(hashBytes(pair?.blob ?? new Uint8Array(0)));
    expect(await handOver(object.posted)).toMatchObject([{ id: object.id, status: "known" }]);
  });

  test("are refused where no peer has accepted them", async () => {
    const object = await objectAt(0, { witness: await stranger() });
    const [result] = await handOver(object.posted);
    expect(result).toMatchObject({ status: "refused", problem: { code: "witness-mismatch" } });
    expect(await listed(object)).toEqual([]);
  });

  test("are refused where the domain's key did not sign them, whatever the peer says", async () => {
    const object = await objectAt(0, { signer: await stranger() });
    const [result] = await handOver(object.posted);
    expect(result).toMatchObject({ status: "refused", problem: { code: "key-not-authorized" } });
    expect(await listed(object)).toEqual([]);
  });

  test("are refused with another Manifest than theirs", async () => {
    const [object, other] = [await objectAt(0), await objectAt(0, { seed: 90 })];
    const [result] = await handOver({ ...object.posted, manifest: other.posted.manifest });
    expect(result).toMatchObject({ status: "refused", problem: { code: "content-hash-mismatch" } });
  });

  test("are taken in though they have expired, as history, and are not served", async () => {
    const object = await objectAt(0, { expires: "2026-01-02T00:00:00.000Z" });
    expect(await handOver(object.posted)).toMatchObject([{ status: "accepted" }]);
    const response = await ask(`/obj/${domain}/${object.nameText}`);
    expect(response.status).toBe(422);
    expect(await response.json()).toMatchObject({ code: "statement-expired" });
  });

  test("bring the history that they follow with them", async () => {
    const first = await objectAt(1);
    const second = await objectAt(1, { previous: first });
    await knows(1, first, second);
    const results = await handOver(second.posted);
    expect(results).toMatchObject([{ id: second.id }]);
    expect(results[0]?.status).not.toBe("refused");
    expect(await listed(first)).toEqual([second.id, first.id]);
  });

  test("that follow what no peer shows are told of, with who has them, and not listed", async () => {
    const first = await objectAt(0);
    const third = await objectAt(0, { previous: await objectAt(0, { previous: first }) });
    await handOver(first.posted);
    expect(await handOver(third.posted)).toMatchObject([{ problem: { code: "unknown-previous" } }]);
    expect(await listed(first)).toEqual([first.id]);
    const answer = parseNameAnswer(await (await ask(nameUrl(first))).json());
    expect(answer.elsewhere).toEqual([{ version: third.id, sequence: 3, servers: [origin(0)] }]);
  });

  test("that fork a name are told of, and the first of both stays", async () => {
    const first = await objectAt(0);
    const twin = await objectAt(1, { name: first.nameText, seed: 60 });
    await handOver(first.posted);
    expect(await handOver(twin.posted)).toMatchObject([{ problem: { code: "fork" } }]);
    const answer = parseNameAnswer(await (await ask(nameUrl(first))).json());
    expect(answer.versions).toHaveLength(1);
    expect(answer.elsewhere).toEqual([{ version: twin.id, sequence: 1, servers: [origin(1)] }]);
  });

  test("are told of no longer once they are here", async () => {
    const first = await objectAt(0);
    const second = await objectAt(0, { previous: first });
    expect(await handOver(second.posted)).toMatchObject([{ problem: { code: "unknown-previous" } }]);
    expect(await handOver(first.posted, second.posted)).toMatchObject([
      { status: "accepted" },
      { status: "accepted" },
    ]);
    const answer = parseNameAnswer(await (await ask(nameUrl(first))).json());
    expect(answer.elsewhere).toBeUndefined();
  });

  test("are not handed on to other peers", async () => {
    const object = await objectAt(0);
    await handOver(object.posted);
    const { peers } = parseEdgeStatus(await (await ask("/status")).json());
    expect(peers.map(({ waiting }) => waiting)).toEqual(Array(PEERS_MAX).fill(0));
    expect((await asked()).filter(({ path }) => path === "/peer/names")).toEqual([]);
  });
});

test("what a key signed that DNS shows no longer is not listed, and hides nothing that follows it", async () => {
  const first = await objectAt(4, { signer: await stranger() });
  const second = await objectAt(4, { previous: first });
  await knows(4, first, second);
  const results = await handOver(first.posted, second.posted);
  expect(results).toMatchObject([{ problem: { code: "key-not-authorized" } }, { status: "known" }]);
  expect(await listed(first)).toEqual([second.id]);
});

describe("a name that is not known here", () => {
  test("is asked of the peers, checked, listed, and not asked for again", async () => {
    const first = await objectAt(2);
    const second = await objectAt(2, { previous: first });
    await knows(2, first, second);
    const answer = parseNameAnswer(await (await ask(nameUrl(first))).json());
    expect(answer.versions).toHaveLength(2);
    const requests = (await asked()).filter(({ path }) => path.startsWith("/peer/name/"));
    expect(new Set(requests.map((request) => request.origin)).size).toBe(PEERS_MAX);
    expect(requests.every(({ isFromPeer }) => isFromPeer)).toBe(true);
    expect(await listed(first)).toEqual([second.id, first.id]);
    await (await ask(nameUrl(first))).body?.cancel();
    expect((await asked()).filter(({ path }) => path.startsWith("/peer/name/"))).toEqual([]);
  });

  test("is asked for once in a while only, where no peer knows it", async () => {
    const object = await objectAt(2);
    expect((await ask(nameUrl(object))).status).toBe(404);
    expect((await asked()).length).toBeGreaterThan(0);
    expect((await ask(nameUrl(object))).status).toBe(404);
    expect((await ask(`/obj/${domain}/${object.nameText}`)).status).toBe(404);
    expect((await asked()).filter(({ path }) => path.startsWith("/peer/name/"))).toEqual([]);
  });

  test("is not asked for where a peer asks: no question goes around in circles", async () => {
    const object = await objectAt(2);
    await knows(2, object);
    expect((await ask(nameUrl(object), { [PEER_HEADER]: "1" })).status).toBe(404);
    expect((await ask(`/peer/name/${object.nameHash}?domain=${domain}`)).status).toBe(200);
    expect(await asked()).toEqual([]);
  });
});

test("a name's statements are given to peers oldest first, from a sequence on, without the one that they have", async () => {
  const first = await objectAt(0);
  const second = await objectAt(0, { previous: first });
  const third = await objectAt(0, { previous: second });
  await handOver(first.posted, second.posted, third.posted);
  const url = `/peer/name/${first.nameHash}?domain=${domain}`;
  const given = async (query: string) => {
    const { versions, hasMore }: { versions: { manifest: string }[]; hasMore: boolean } = await (
      await ask(`${url}${query}`)
    ).json();
    expect(hasMore).toBe(false);
    return versions.map(({ manifest }) => manifest);
  };
  const manifests = [first, second, third].map(({ posted }) => posted.manifest);
  expect(await given("")).toEqual(manifests);
  expect(await given(`&from=2&known=${second.id}`)).toEqual(manifests.slice(2));
  expect((await ask(`${url}&from=0`)).status).toBe(400);
});

describe("PEER_EDGES", () => {
  const settingsWith = (PEER_EDGES: string, ALLOW_LOCAL_NODES = "false") =>
    parseSettings({ ...env, PEER_EDGES, ALLOW_LOCAL_NODES });

  test("names public https origins, each once", () => {
    expect(
      settingsWith("https://a.example.org, https://b.example.org/ https://a.example.org").peerEdges,
    ).toEqual(["https://a.example.org", "https://b.example.org"]);
    expect(settingsWith("").peerEdges).toEqual([]);
  });

  test.each([
    "http://a.example.org",
    "https://a.example.org/path",
    "https://10.0.0.1",
    "http://127.0.0.1:8787",
    "edge.example.org",
    Array.from({ length: PEERS_MAX + 1 }, (_, i) => `https://e${i}.example.org`).join(" "),
  ])("does not name %s", (text) => {
    expect(() => settingsWith(text)).toThrowError(/PEER_EDGES/);
  });

  test("names edges of this machine where local nodes are allowed", () => {
    expect(settingsWith("http://127.0.0.1:8787", "true").peerEdges).toEqual(["http://127.0.0.1:8787"]);
  });
});
