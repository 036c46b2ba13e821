import { randomBytes } from "node:crypto";
import { appendFile } from "node:fs/promises";
import { connect } from "node:net";
import { base64 } from "@scure/base";
import { beforeAll, describe, expect, inject, test } from "vitest";
import { encodeCanonical } from "../../lib/canonical-json.ts";
import { importSigner } from "../../lib/ed25519.ts";
import { type Hash, hashBytes } from "../../lib/hash.ts";
import { encodeManifest } from "../../lib/manifest.ts";
import { nameHashOf, parseName } from "../../lib/names.ts";
import { formatPublicKeyText } from "../../lib/openssh-key.ts";
import { createStatementSigner, type Namespace, type StatementSigner } from "../../lib/sshsig.ts";
import { signStatement } from "../../lib/statement.ts";
import { grantKind } from "../../lib/upload.ts";
import type { Version } from "../../lib/version.ts";
import { Publisher } from "./publisher.ts";

const network = inject("network");
const iso = (ms: number) => new Date(ms).toISOString();
const newSigner = async () => createStatementSigner(await importSigner(randomBytes(32)));

interface Answer {
  status: number;
  code: string | undefined;
}

async function post(path: string, body: unknown): Promise<Answer> {
  const text = typeof body === "string" ? body : JSON.stringify(body);
  const response = await fetch(`${network.edgeUrl}${path}`, { method: "POST", body: text });
  const answer = (await response.json()) as { code?: string };
  return { status: response.status, code: answer.code };
}

describe("POST /names refuses", () => {
  let publisher: Publisher;
  let signer: StatementSigner;
  const name = parseName("file");

  beforeAll(async () => {
    publisher = await Publisher.create(network);
    signer = await publisher.signer();
  });

  const manifestOf = (chunks: { hash: Hash; size: number }[] = []) =>
    encodeManifest(
      {
        size: chunks.reduce((sum, { size }) => sum + size, 0),
        digest: hashBytes(new Uint8Array()),
        contentType: "text/plain",
        metadata: {},
        redundancy: { replicas: 1 },
      },
      { chunks },
    );

  function versionOf(manifest: Uint8Array, changes: Partial<Version> = {}): Version {
    const { domain, author } = publisher;
    return {
      type: "holdfast-version-1",
      domain,
      nameHash: nameHashOf(changes.domain ?? domain, changes.name ?? name),
      name,
      sequence: 1,
      previous: null,
      time: iso(Date.now()),
      manifest: hashBytes(manifest),
      size: 0,
      author,
      ...changes,
    };
  }

  /** Posts a Version, signed as told, whatever is wrong with it. */
  async function postVersion(
    changes: Partial<Version>,
    how: {
      by?: StatementSigner;
      namespace?: Namespace;
      manifest?: Uint8Array;
      bytes?: Uint8Array;
      message?: Uint8Array;
    } = {},
  ): Promise<Answer> {
    const manifest = how.manifest ?? manifestOf();
    const bytes = how.bytes ?? encodeCanonical(versionOf(manifest, changes));
    const signature = await (how.by ?? signer).sign(how.namespace ?? "holdfast", how.message ?? bytes);
    const version = { statement: base64.encode(bytes), signature };
    return post("/names", {
      statements: [{ version, manifest: base64.encode(manifest), witnesses: [] }],
      receipts: [],
    });
  }

  async function expectNothingStored(): Promise<void> {
    const nameHash = nameHashOf(publisher.domain, name);
    const response = await fetch(`${network.edgeUrl}/name/${nameHash}?domain=${publisher.domain}`);
    expect(response.status).toBe(404);
  }

  test.each<[string, Partial<Version>, string]>([
    ["a Name Hash of another name", { nameHash: hashBytes(new Uint8Array(1)) }, "name-hash-mismatch"],
    ["a second Version without a first", { sequence: 2 }, "sequence-gap"],
    ["a Version dated in the future", { time: iso(Date.now() + 3_600_000) }, "time-order"],
    ["a Version that has run out", { time: iso(0), expires: iso(1) }, "statement-expired"],
    ["a size that is not the Manifest's", { size: 7 }, "invalid-manifest"],
    [
      "a Manifest that it does not carry",
      { manifest: hashBytes(new Uint8Array(2)) },
      "content-hash-mismatch",
    ],
    ["an author that is no address", { author: "me" }, "invalid-statement"],
  ])("%s", async (_, changes, code) => {
    expect(await postVersion(changes)).toMatchObject({ code });
    await expectNothingStored();
  });

  test.each([
    "../x",
    "a//b",
    "a/./b",
    "%2e%2e/x",
    "nul\u0000",
    "u\u0308",
    "bell\u0007",
    "\u202eexe",
    "/a",
    "a/",
    "",
  ])("the name %j, signed all the same", async (bad) => {
    const nameHash = hashBytes(new TextEncoder().encode(`${publisher.domain}/${bad}`));
    expect(await postVersion({ name: bad as never, nameHash })).toMatchObject({ code: "invalid-statement" });
  });

  test("a key that is not the domain's, a signature over something else, and one for another purpose", async () => {
    expect(await postVersion({}, { by: await newSigner() })).toEqual({
      status: 403,
      code: "key-not-authorized",
    });
    expect(await postVersion({}, { message: Uint8Array.of(1) })).toEqual({
      status: 403,
      code: "invalid-signature",
    });
    expect(await postVersion({}, { namespace: "holdfast-node" })).toEqual({
      status: 403,
      code: "wrong-namespace",
    });
    await expectNothingStored();
  });

  test("a statement that is not canonical JSON", async () => {
    const version = versionOf(manifestOf());
    const spaced = new TextEncoder().encode(JSON.stringify(version, null, 1));
    expect(await postVersion({}, { bytes: spaced })).toMatchObject({ status: 400, code: "not-canonical" });
  });

  test("a Manifest whose chunks nobody holds, and one that is itself not held", async () => {
    const manifest = manifestOf([{ hash: hashBytes(new Uint8Array(9)), size: 9 }]);
    expect(await postVersion({ size: 9 }, { manifest })).toEqual({ status: 409, code: "not-held" });
    expect(await postVersion({})).toEqual({ status: 409, code: "not-held" });
    await expectNothingStored();
  });

  test("a domain that does not exist, one without a record, and one whose zone is broken", async () => {
    const unknown = await Publisher.create(network, { records: false });
    const domain = unknown.domain;
    expect(await postVersion({ domain })).toMatchObject({ code: "domain-not-found" });
    await appendFile(network.zoneFile, `_holdfast.${domain}. 5 IN TXT "v=spf1 -all"\n`);
    expect(await postVersion({ domain })).toMatchObject({ code: "no-domain-key" });
  });

  test.each<[string, unknown, number, string]>([
    ["no JSON", "{", 400, "invalid-request"],
    ["no statements", { statements: [], receipts: [] }, 400, "invalid-request"],
    ["an unknown field", { statements: [], receipts: [], more: 1 }, 400, "invalid-request"],
    ["101 statements", { statements: new Array(101).fill({}), receipts: [] }, 400, "invalid-request"],
  ])("a request with %s", async (_, body, status, code) => {
    expect(await post("/names", body)).toEqual({ status, code });
  });
});

describe("POST /names, for chunks that are held, refuses", () => {
  let publisher: Publisher;
  let first: { id: Hash; body: Version; manifest: string };

  beforeAll(async () => {
    publisher = await Publisher.create(network);
    await publisher.publish(await publisher.writeFile("f", "held"), "file");
    const nameHash = nameHashOf(publisher.domain, parseName("file"));
    const response = await fetch(`${network.edgeUrl}/name/${nameHash}?domain=${publisher.domain}`);
    const answer = (await response.json()) as { versions: { statement: string }[]; manifest: string };
    const bytes = base64.decode(answer.versions[0]?.statement ?? "");
    const body = JSON.parse(new TextDecoder().decode(bytes)) as Version;
    first = { id: hashBytes(bytes), body, manifest: answer.manifest };
  });

  async function postFollowing(changes: Partial<Version>): Promise<Answer> {
    const bytes = encodeCanonical({ ...first.body, time: iso(Date.now()), ...changes });
    const signature = await (await publisher.signer()).sign("holdfast", bytes);
    const version = { statement: base64.encode(bytes), signature };
    return post("/names", {
      statements: [{ version, manifest: first.manifest, witnesses: [] }],
      receipts: [],
    });
  }

  test("a sequence gap, an unknown parent, a date before the parent's, and a fork; and takes the next", async () => {
    const stranger = hashBytes(new Uint8Array(1));
    expect(await postFollowing({ sequence: 3, previous: first.id })).toEqual({
      status: 409,
      code: "sequence-gap",
    });
    expect(await postFollowing({ sequence: 2, previous: stranger })).toEqual({
      status: 409,
      code: "unknown-previous",
    });
    const older = { sequence: 2, previous: first.id, time: iso(0) };
    expect(await postFollowing(older)).toEqual({ status: 422, code: "time-order" });
    expect(await postFollowing({})).toEqual({ status: 409, code: "fork" });
    expect(await postFollowing({ sequence: 2, previous: first.id })).toEqual({
      status: 200,
      code: undefined,
    });
  });
});

describe("POST /chunk/plan refuses", () => {
  let publisher: Publisher;
  const HOUR = 3_600_000;

  beforeAll(async () => {
    publisher = await Publisher.create(network);
  });

  async function plan(by: StatementSigner, times: { fromMs: number; toMs: number }): Promise<Answer> {
    const session = await newSigner();
    const { domain, author } = publisher;
    const grant = await signStatement(
      grantKind,
      {
        ...{
          type: "holdfast-upload-grant-1",
          domain,
          author,
          bytes: 1,
          session: formatPublicKeyText(session.key),
        },
        ...{ time: iso(times.fromMs), expires: iso(times.toMs) },
      },
      by,
    );
    const signed = { statement: base64.encode(grant.bytes), signature: grant.signature };
    const chunks = [{ hash: hashBytes(new Uint8Array(5)), size: 5 }];
    return post("/chunk/plan", { grant: signed, replicas: 3, chunks, avoid: [], receipts: [] });
  }

  test("a grant that has expired, lives too long, or is a stranger's; and takes the domain's own", async () => {
    const now = Date.now();
    const own = await publisher.signer();
    expect(await plan(own, { fromMs: now - HOUR, toMs: now - 1 })).toMatchObject({ code: "grant-expired" });
    expect(await plan(own, { fromMs: now, toMs: now + 25 * HOUR })).toMatchObject({ code: "grant-mismatch" });
    const times = { fromMs: now, toMs: now + HOUR };
    expect(await plan(await newSigner(), times)).toMatchObject({ code: "key-not-authorized" });
    expect(await plan(own, times)).toEqual({ status: 200, code: undefined });
  });
});

describe("a body over the limit", () => {
  test("is refused by its declared length, before any of it is read", async () => {
    const { hostname, port } = new URL(network.edgeUrl);
    const socket = connect(Number(port), hostname);
    const length = 8 * 1024 * 1024 + 1;
    socket.write(`POST /names HTTP/1.1\r\nHost: ${hostname}:${port}\r\nContent-Length: ${length}\r\n\r\n{`);
    let answer = "";
    for await (const text of socket.setEncoding("utf8")) {
      answer += text;
      if (answer.includes('"code"')) break;
    }
    expect(answer).toMatch(/^HTTP\/1.1 413 /);
    expect(answer).toContain('"code":"body-too-large"');
  });
});

describe("a reader's mistakes are answered with a code", () => {
  const hash = "0".repeat(64);
  test.each([
    ["/obj/example.test/none", 404, "not-found"],
    ["/obj/example.test", 400, "invalid-name"],
    ["/obj/Example.test/x", 400, "invalid-domain"],
    ["/obj/example.test/u%CC%88", 400, "invalid-name"],
    ["/obj/example.test/%ff", 400, "invalid-name"],
    ["/obj/example.test/a%00b", 400, "invalid-name"],
    ["/obj/example.test/a%2F%2Fb", 400, "invalid-name"],
    ["/obj/example.test/hello.txt?version=xyz", 400, "invalid-hash"],
    [`/obj/example.test/hello.txt?version=${hash}`, 404, "not-found"],
    ["/name/xyz?domain=example.test", 400, "invalid-hash"],
    [`/name/${hash}`, 400, "invalid-domain"],
    [`/name/${hash}?domain=example.test`, 404, "not-found"],
    [`/version/${hash}`, 404, "not-found"],
    [`/version/${hash}.asc`, 400, "invalid-hash"],
    [`/chunk/${hash}`, 404, "not-found"],
    ["/chunk/xyz", 400, "invalid-hash"],
    ["/closest/xyz", 400, "invalid-hash"],
    ["/domain/nothing.test", 422, "domain-not-found"],
    ["/domain/nothing", 400, "invalid-domain"],
    ["/nowhere", 404, "not-found"],
  ])("%s", async (path, status, code) => {
    const response = await fetch(`${network.edgeUrl}${path}`);
    expect(response.headers.get("content-type")).toBe("application/problem+json");
    expect({ status: response.status, code: ((await response.json()) as { code: string }).code }).toEqual({
      status,
      code,
    });
  });

  test.each(["PUT", "DELETE", "POST"])("%s on an object is not allowed", async (method) => {
    const response = await fetch(`${network.edgeUrl}/obj/example.test/hello.txt`, { method });
    expect(response.status).toBe(405);
    expect(((await response.json()) as { code: string }).code).toBe("method-not-allowed");
  });
});

describe("the command refuses before it sends anything", () => {
  test.each([
    ["a name with ..", ["publish", "FILE", "DOMAIN/../x"], 2, "invalid-name"],
    ["a name with //", ["publish", "FILE", "DOMAIN/a//b"], 2, "invalid-name"],
    ["a name in NFD", ["publish", "FILE", "DOMAIN/u\u0308"], 2, "invalid-name"],
    ["a name with a bidi override", ["publish", "FILE", "DOMAIN/\u202ecod.exe"], 2, "invalid-name"],
    ["a file that is not there", ["publish", "/nonexistent", "DOMAIN/x"], 1, "nonexistent"],
    ["an unknown option", ["publish", "FILE", "DOMAIN/x", "--frob"], 2, "frob"],
    ["too many replicas", ["publish", "FILE", "DOMAIN/x", "--replicas", "33"], 2, "replicas"],
  ])("%s", async (_, args, exitCode, word) => {
    const publisher = await Publisher.create(network);
    const file = await publisher.writeFile("f", "x");
    const filled = args.map((arg) => arg.replace("FILE", file).replace("DOMAIN", publisher.domain));
    const result = await publisher.holdfast(
      ...filled,
      "--key",
      publisher.keyFile,
      "--author",
      publisher.author,
    );
    expect(result).toMatchObject({ code: exitCode, stdout: "" });
    expect(result.stderr).toContain(word);
  });

  test("publishing under somebody else's domain, or without its record, says what to do", async () => {
    const [owner, stranger] = [
      await Publisher.create(network),
      await Publisher.create(network, { records: false }),
    ];
    const file = await stranger.writeFile("f", "x");
    const asked = [
      "publish",
      file,
      `${owner.domain}/x`,
      "--key",
      stranger.keyFile,
      "--author",
      "me@example.test",
    ];
    const refused = await stranger.holdfast(...asked);
    expect(refused.code).toBe(4);
    expect(refused.stderr).toContain("key-not-authorized");
    const unrecorded = await stranger.publish(file, "x");
    expect(unrecorded.code).not.toBe(0);
    expect(unrecorded.stderr).toContain(`_holdfast.${stranger.domain}`);
  });
});
