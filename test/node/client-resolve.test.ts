// Resolving a name against servers that lie: each lie is refused with its code, and the newest valid Version wins
// wherever it is found.

import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { nodeHost } from "../../cli/node-host.ts";
import { type ResolveOptions, resolveObject } from "../../lib/client/resolve.ts";
import type { SeenVersion, SeenVersions } from "../../lib/client/seen.ts";
import { Server } from "../../lib/client/server.ts";
import { collectVersions, HOLDER_OPTIONS } from "../../lib/client/versions.ts";
import type { DomainKeyResolver } from "../../lib/domain-keys.ts";
import { hashBytes } from "../../lib/hash.ts";
import { nameHashOf, parseDomain, parseName } from "../../lib/names.ts";
import type { StatementSigner } from "../../lib/sshsig.ts";
import type { SignedStatement } from "../../lib/statement.ts";
import type { NameAnswer } from "../../lib/wire/names.ts";
import { formatSigned } from "../../lib/wire/signed.ts";
import {
  answerJson,
  answerProblem,
  clientsOf,
  closeAll,
  contactAt,
  DOMAIN,
  encodeBase64,
  makeObject,
  makeSigner,
  NAME_HASH,
  notFound,
  publishKeys,
  START_TIME,
  serve,
  serveChunks,
  serveLocate,
  signVersion,
  sourceOf,
  type TestObject,
  type TestServer,
} from "./client-fixture.ts";

const NOW_MS = Date.parse(START_TIME) + 60_000;
const LATER = new Date(Date.parse(START_TIME) + 1000).toISOString();
const REQUEST = { domain: DOMAIN, nameHash: NAME_HASH };

let owner: StatementSigner;
let stranger: StatementSigner;
let domainKeys: DomainKeyResolver;
let object: TestObject;

beforeEach(async () => {
  owner = await makeSigner(1);
  stranger = await makeSigner(2);
  ({ domainKeys } = await publishKeys([owner]));
  object = makeObject(2);
});
afterEach(closeAll);

function pageOf(statements: SignedStatement[], changes: Partial<NameAnswer> = {}): NameAnswer {
  const versions = statements.map((signed) => ({ ...formatSigned(signed), witnesses: [] }));
  return { ...REQUEST, versions, manifest: encodeBase64(object.manifestBytes), next: null, ...changes };
}

function serveName(statements: SignedStatement[], changes: Partial<NameAnswer> = {}): Promise<TestServer> {
  return serve((_request, response) => answerJson(response, pageOf(statements, changes)));
}

function optionsOf(...servers: TestServer[]): ResolveOptions {
  return { servers: clientsOf(servers), domainKeys, source: sourceOf(servers), now: () => NOW_MS };
}

/** The statement with one piece of its text replaced, under its old signature. */
function tamper(signed: SignedStatement, from: string, to: string): SignedStatement {
  const text = new TextDecoder().decode(signed.bytes);
  expect(text).toContain(from);
  return { ...signed, bytes: new TextEncoder().encode(text.replace(from, to)) };
}

const LIES: [string, string, () => Promise<SignedStatement>][] = [
  ...(
    [
      ["the sequence", '"sequence":1', '"sequence":2'],
      ["the time", START_TIME, "2026-01-02T03:04:05.679Z"],
      ["the Manifest", '"manifest":"', '"manifest":"0'],
      ["the size", '"size":6000', '"size":6001'],
      ["the author", "alice@", "mallory@"],
      ["the domain", '"domain":"example.test"', '"domain":"example.tesu"'],
      ["the name", '"name":"app.iso"', '"name":"app.isp"'],
      ["the previous Version", '"previous":null', '"previous":""'],
      ["the type", "holdfast-version-1", "holdfast-version-2"],
    ] as const
  ).map(([what, from, to]): (typeof LIES)[number] => [
    `changes ${what}`,
    "invalid-signature",
    async () => tamper(await signVersion(owner, object), from, to),
  ]),
  [
    "cuts the bytes short",
    "invalid-signature",
    async () => {
      const signed = await signVersion(owner, object);
      return { ...signed, bytes: signed.bytes.slice(0, -1) };
    },
  ],
  [
    "brings no signature",
    "invalid-signature",
    async () => ({ ...(await signVersion(owner, object)), signature: "none" }),
  ],
  [
    "brings another Version's signature",
    "invalid-signature",
    async () => ({
      ...(await signVersion(owner, object)),
      signature: (await signVersion(owner, object, { sequence: 2, previous: NAME_HASH })).signature,
    }),
  ],
  [
    "brings a Version by a key that is not the domain's",
    "key-not-authorized",
    () => signVersion(stranger, object),
  ],
  [
    "brings a Version of another name",
    "name-hash-mismatch",
    () => {
      const name = parseName("other.iso");
      return signVersion(owner, object, { name, nameHash: nameHashOf(DOMAIN, name) });
    },
  ],
  [
    "brings a Version of another domain",
    "name-hash-mismatch",
    () => {
      const domain = parseDomain("example.net");
      return signVersion(owner, object, { domain, nameHash: nameHashOf(domain, parseName("app.iso")) });
    },
  ],
  [
    "brings a Version whose name does not hash to its Name Hash",
    "name-hash-mismatch",
    () => signVersion(owner, object, { name: parseName("other.iso") }),
  ],
  [
    "brings a Version in JSON that is not canonical",
    "not-canonical",
    async () => {
      const { bytes } = await signVersion(owner, object);
      const spaced = new TextEncoder().encode(` ${new TextDecoder().decode(bytes)}`);
      return { bytes: spaced, signature: await owner.sign("holdfast", spaced) };
    },
  ],
  [
    "brings a statement signed for another purpose",
    "wrong-namespace",
    async () => {
      const { bytes } = await signVersion(owner, object);
      return { bytes, signature: await owner.sign("holdfast-upload", bytes) };
    },
  ],
  [
    "brings a statement with a field too many",
    "invalid-statement",
    async () => {
      const { bytes } = await signVersion(owner, object);
      const more = new TextEncoder().encode(new TextDecoder().decode(bytes).replace("{", '{"also":1,'));
      return { bytes: more, signature: await owner.sign("holdfast", more) };
    },
  ],
  [
    "brings a second Version without a previous one",
    "sequence-gap",
    () => signVersion(owner, object, { sequence: 2 }),
  ],
];

describe.each(LIES)("a server that %s", (_name, code, lie) => {
  test("is not believed", async () => {
    const options = optionsOf(await serveName([await lie()]));
    await expect(resolveObject(REQUEST, options)).rejects.toMatchObject({ name: "HoldfastError", code });
  });

  test("is reported, and another's valid Version is taken", async () => {
    const liar = await serveName([await lie()]);
    const version = await signVersion(owner, object);
    const resolved = await resolveObject(REQUEST, optionsOf(liar, await serveName([version])));
    expect(resolved.version.id).toBe(version.id);
    expect(resolved.problems).toMatchObject([{ server: liar.url, error: { code } }]);
  });
});

describe("what was seen before", () => {
  function memory(): SeenVersions & { kept: Map<string, SeenVersion> } {
    const kept = new Map<string, SeenVersion>();
    return {
      kept,
      newestOf: async (_domain, nameHash) => kept.get(nameHash) ?? null,
      note: async (_domain, nameHash, seen) => void kept.set(nameHash, seen),
    };
  }

  test("keeps a server that is asked alone from going back to an older Version", async () => {
    const first = await signVersion(owner, object);
    const second = await signVersion(owner, object, { sequence: 2, previous: first.id });
    const seen = memory();
    await resolveObject(REQUEST, { ...optionsOf(await serveName([second, first])), seen });
    expect(seen.kept.get(NAME_HASH)).toMatchObject({ version: second.id, sequence: 2 });
    const behind = optionsOf(await serveName([first]));
    await expect(resolveObject(REQUEST, { ...behind, seen })).rejects.toMatchObject({
      code: "rolled-back",
      message: expect.stringContaining(second.id),
    });
    expect((await resolveObject(REQUEST, behind)).version.id).toBe(first.id);
    const both = optionsOf(await serveName([first]), await serveName([second]));
    expect((await resolveObject(REQUEST, { ...both, seen })).version.id).toBe(second.id);
  });

  test("does not stand in the way of a Version asked for by its id, nor of the same one again", async () => {
    const first = await signVersion(owner, object);
    const second = await signVersion(owner, object, { sequence: 2, previous: first.id });
    const options = { ...optionsOf(await serveName([second, first])), seen: memory() };
    for (const request of [REQUEST, { ...REQUEST, versionId: first.id }, REQUEST]) {
      const { version } = await resolveObject(request, options);
      expect(version.id).toBe("versionId" in request ? first.id : second.id);
    }
  });

  test("tells siblings apart: the one that comes first in the order is not taken back", async () => {
    const colleague = await makeSigner(3);
    ({ domainKeys } = await publishKeys([owner, colleague]));
    const [a, b] = [await signVersion(owner, object), await signVersion(colleague, object, { time: LATER })];
    const seen = memory();
    await resolveObject(REQUEST, { ...optionsOf(await serveName([b, a])), seen });
    const withheld = resolveObject(REQUEST, { ...optionsOf(await serveName([a])), seen });
    await expect(withheld).rejects.toMatchObject({ code: "rolled-back" });
  });
});

describe("a home node that holds the newest Version which a server shows", () => {
  async function behind(holder: TestServer) {
    const first = await signVersion(owner, object);
    const edge = await serveLocate([await contactAt(holder.url, 20)], (_request, response) =>
      answerJson(response, pageOf([first])),
    );
    const options = optionsOf(edge);
    const holderAt = (url: string) => new Server(url, nodeHost.fetch, HOLDER_OPTIONS);
    return { first, options, asking: { ...options, holderAt } };
  }

  test("is asked what it knows: an edge that hides the newest is found out", async () => {
    const second = await signVersion(owner, object, {
      sequence: 2,
      previous: (await signVersion(owner, object)).id,
    });
    const { first, options, asking } = await behind(await serveName([second]));
    expect((await resolveObject(REQUEST, asking)).version.id).toBe(second.id);
    // Without asking it, nobody would know.
    expect((await resolveObject(REQUEST, options)).version.id).toBe(first.id);
    expect((await resolveObject({ ...REQUEST, versionId: first.id }, asking)).version.id).toBe(first.id);
  });

  test("is believed no more than anybody", async () => {
    const forged = await signVersion(stranger, object, { sequence: 2, previous: NAME_HASH });
    const { first, asking } = await behind(await serveName([forged]));
    const { version, problems } = await resolveObject(REQUEST, asking);
    expect(version.id).toBe(first.id);
    expect(problems).toMatchObject([{ error: { code: "key-not-authorized" } }]);
  });

  test("that does not answer, or knows nothing, is no news", async () => {
    for (const holder of [await serve(notFound), await serve(() => undefined)]) {
      const { first, asking } = await behind(holder);
      const { version, problems } = await resolveObject(REQUEST, asking);
      expect({ id: version.id, problems }).toEqual({ id: first.id, problems: [] });
    }
  });
});

describe("a server that is said to have a Version which the one asked does not list", () => {
  async function telling(servers: string[]) {
    const first = await signVersion(owner, object);
    const second = await signVersion(owner, object, { sequence: 2, previous: first.id });
    const elsewhere = [{ version: second.id, sequence: 2, servers }];
    const edge = await serve((_request, response) => answerJson(response, { ...pageOf([first]), elsewhere }));
    const holderAt = (url: string) => new Server(url, nodeHost.fetch, HOLDER_OPTIONS);
    return { first, second, asking: { ...optionsOf(edge), holderAt } };
  }

  test("is asked, and judged like any other", async () => {
    const { first } = await telling(["https://edge.example.org"]);
    const second = await signVersion(owner, object, { sequence: 2, previous: first.id });
    const other = await serveName([second, first]);
    const { asking } = await telling([other.url]);
    expect((await resolveObject(REQUEST, asking)).version.id).toBe(second.id);
    const forged = await signVersion(stranger, object, { sequence: 2, previous: first.id });
    const { asking: misled } = await telling([(await serveName([forged])).url]);
    expect((await resolveObject(REQUEST, misled)).version.id).toBe(first.id);
  });

  test("that does not answer, or is inside a network, costs no more than a moment", async () => {
    const silent = await serve(() => undefined);
    const { first, asking } = await telling([silent.url, "http://10.0.0.1", "https://intranet"]);
    const { version, problems } = await resolveObject(REQUEST, asking);
    expect({ id: version.id, problems }).toEqual({ id: first.id, problems: [] });
  });
});

describe("resolveObject", () => {
  test("of two Versions that one key signed at one sequence takes neither, unless one is named", async () => {
    const [a, b] = [await signVersion(owner, object), await signVersion(owner, object, { time: LATER })];
    const both = optionsOf(await serveName([a]), await serveName([b]));
    await expect(resolveObject(REQUEST, both)).rejects.toMatchObject({
      code: "fork",
      message: expect.stringContaining(a.id),
    });
    expect((await resolveObject({ ...REQUEST, versionId: a.id }, both)).version.id).toBe(a.id);
    expect((await resolveObject(REQUEST, optionsOf(await serveName([a])))).version.id).toBe(a.id);
  });

  test("takes the newest valid Version of all servers, so that one of them cannot roll back", async () => {
    const first = await signVersion(owner, object);
    const second = await signVersion(owner, object, { sequence: 2, previous: first.id });
    const behind = await serveName([first]);
    const ahead = await serveName([second, first]);
    for (const servers of [
      [behind, ahead],
      [ahead, behind],
    ]) {
      expect((await resolveObject(REQUEST, optionsOf(...servers))).version.id).toBe(second.id);
    }
  });

  test("does not rely on a server's order", async () => {
    const first = await signVersion(owner, object);
    const second = await signVersion(owner, object, { sequence: 2, previous: first.id });
    const resolved = await resolveObject(REQUEST, optionsOf(await serveName([first, second])));
    expect(resolved.version.body.sequence).toBe(2);
  });

  test("refuses a newest Version that has expired, and does not fall back to an older one", async () => {
    const first = await signVersion(owner, object);
    const expires = new Date(NOW_MS).toISOString();
    const second = await signVersion(owner, object, { sequence: 2, previous: first.id, expires });
    const options = optionsOf(await serveName([second, first]));
    await expect(resolveObject(REQUEST, options)).rejects.toMatchObject({ code: "statement-expired" });
    expect((await resolveObject({ ...REQUEST, versionId: first.id }, options)).version.id).toBe(first.id);
  });

  test("finds a Version asked for by id, on a later page too", async () => {
    const first = await signVersion(owner, object);
    const second = await signVersion(owner, object, { sequence: 2, previous: first.id });
    const server = await serve((request, response) => {
      const isSecondPage = request.url?.endsWith(`&before=${second.id}`) === true;
      answerJson(response, isSecondPage ? pageOf([first]) : pageOf([second], { next: second.id }));
    });
    const resolved = await resolveObject({ ...REQUEST, versionId: first.id }, optionsOf(server));
    expect(resolved.version.id).toBe(first.id);
    const unknown = resolveObject({ ...REQUEST, versionId: NAME_HASH }, optionsOf(server));
    await expect(unknown).rejects.toMatchObject({ code: "not-found" });
  });

  test("fetches the Manifest from a holder when no server sends the right one", async () => {
    const version = await signVersion(owner, object);
    const holder = await serveChunks(new Map([[object.manifestHash, object.manifestBytes]]));
    const page = pageOf([version], { manifest: encodeBase64(makeObject(3, 10, "another").manifestBytes) });
    const server = await serveLocate([await contactAt(holder.url, 9)], (_request, response) =>
      answerJson(response, page),
    );
    const resolved = await resolveObject(REQUEST, optionsOf(server));
    expect(resolved.manifest).toEqual(object.manifest);
    expect(holder.requests).toEqual([`GET /chunk/${object.manifestHash}`]);
  });

  test("does not take another Manifest for the Version's", async () => {
    const version = await signVersion(owner, object);
    const server = await serveName([version], {
      manifest: encodeBase64(makeObject(3, 10, "another").manifestBytes),
    });
    await expect(resolveObject(REQUEST, optionsOf(server))).rejects.toMatchObject({ code: "no-holder" });
  });

  test("refuses a Manifest whose size is not the Version's", async () => {
    const version = await signVersion(owner, object, { size: object.bytes.length + 1 });
    const options = optionsOf(await serveName([version]));
    await expect(resolveObject(REQUEST, options)).rejects.toMatchObject({ code: "invalid-manifest" });
  });

  test("refuses a Manifest that a domain key signed and that is none", async () => {
    const bytes = new TextEncoder().encode('{"type":"holdfast-manifest-1"}');
    const version = await signVersion(owner, object, { manifest: hashBytes(bytes) });
    const options = optionsOf(await serveName([version], { manifest: encodeBase64(bytes) }));
    await expect(resolveObject(REQUEST, options)).rejects.toMatchObject({ code: "invalid-manifest" });
  });

  test("says not-found where a server knows nothing, though another does not answer", async () => {
    const nothing = await serve((_request, response) => answerProblem(response, "not-found", 404));
    const empty = await serveName([], { manifest: null });
    const gone = await serve(() => undefined);
    await gone.close();
    for (const server of [nothing, empty]) {
      const resolved = resolveObject(REQUEST, optionsOf(gone, server));
      await expect(resolved).rejects.toMatchObject({ code: "not-found" });
    }
    await expect(resolveObject(REQUEST, optionsOf(gone))).rejects.toMatchObject({ code: "unreachable" });
  });

  test.each([
    ["is no JSON", "<h1>hello</h1>"],
    ["has the wrong shape", '{"versions":{}}'],
    ["has a statement that is not base64", '{"versions":[{"statement":"%","signature":"","witnesses":[]}]}'],
  ])("reports an answer that %s as bad-answer, naming the server", async (_name, body) => {
    const server = await serve((_request, response) => response.end(body));
    const resolved = resolveObject(REQUEST, optionsOf(server));
    await expect(resolved).rejects.toMatchObject({
      code: "bad-answer",
      message: expect.stringContaining(server.url),
    });
  });

  test("gives up a server that repeats a page for ever", async () => {
    const version = await signVersion(stranger, object);
    const server = await serveName([version], { next: version.id });
    const knowledge = await collectVersions({ ...REQUEST, depth: "all" }, optionsOf(server));
    expect(server.requests.length).toBe(2);
    expect(knowledge.problems.at(-1)).toMatchObject({ error: { code: "bad-answer" } });
  });

  test("fails with DNS's own code where the domain has no keys", async () => {
    const version = await signVersion(owner, object);
    ({ domainKeys } = await publishKeys([]));
    const options = optionsOf(await serveName([version]));
    await expect(resolveObject(REQUEST, options)).rejects.toMatchObject({ code: "domain-not-found" });
  });
});

describe("collectVersions", () => {
  test("lists each Version once, newest first, with every server that knows it, verified or not", async () => {
    const first = await signVersion(stranger, object);
    const second = await signVersion(owner, object, { sequence: 2, previous: first.id });
    const one = await serveName([second, first]);
    const two = await serveName([first]);
    const { versions } = await collectVersions({ ...REQUEST, depth: "all" }, optionsOf(one, two));
    expect(versions.map(({ version }) => version.id)).toEqual([second.id, first.id]);
    expect(versions.map(({ unverified }) => unverified?.code ?? null)).toEqual([null, "key-not-authorized"]);
    expect(versions.map(({ servers }) => servers)).toEqual([[one.url], [one.url, two.url]]);
  });
});
