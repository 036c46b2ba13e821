// Who may write in a domain, by the real command against a real network: authors by keys of their own, delegations, whose
// a name is, and what the domain may do anywhere.

import { beforeAll, describe, expect, inject, test, vi } from "vitest";
import { nameHashOf, parseName } from "../../lib/names.ts";
import { signStatement } from "../../lib/statement.ts";
import { versionKind } from "../../lib/version.ts";
import { formatSigned } from "../../lib/wire/signed.ts";
import { addRecords, Person } from "./people.ts";
import { type CliResult, Publisher } from "./publisher.ts";

const network = inject("network");
/** A change in DNS is seen when its TTL is over, and asked for anew at most every two seconds. */
const SEEN = { timeout: 30_000, interval: 1500 };

let domain: Publisher;
let alice: Person;
let bob: Person;
let file: string;

beforeAll(async () => {
  domain = await Publisher.create(network);
  const mail = `mail-of-${domain.domain}`;
  await addRecords(domain, `v=hf1; policy=moderated; a=*@${mail}`);
  [alice, bob] = (await Promise.all(
    ["alice", "bob"].map((name) => Person.create(domain, `${name}@${mail}`, { inDns: true })),
  )) as [Person, Person];
  file = await domain.writeFile("file", "bytes");
});

const codeOf = ({ stderr }: CliResult) => /\(([a-z-]+)\)\n/.exec(stderr)?.[1];
const newest = async (name: string) => {
  const { stdout } = await domain.holdfast("log", `${domain.domain}/${name}`, "--json");
  return JSON.parse(stdout)[0];
};
const text = async (content: string) => domain.writeFile(`text ${content}`, content);

describe("in a moderated domain", () => {
  test("an author whom it admits creates names by a key of their own, and readers verify it", async () => {
    const name = "by-alice";
    expect(await alice.publish(file, name)).toMatchObject({ code: 0 });
    expect(await domain.holdfast("get", `${domain.domain}/${name}`, "-o", "-")).toMatchObject({
      code: 0,
      stdout: "bytes",
    });
    expect(await newest(name)).toMatchObject({ verified: "author-key", author: alice.email });
  });

  test("a name is its first author's: another one's Version is refused, before anything is sent", async () => {
    const name = "alices-own";
    expect(await alice.publish(file, name)).toMatchObject({ code: 0 });
    const refused = await bob.publish(await text("bob was here"), name);
    expect({ code: refused.code, reason: codeOf(refused) }).toEqual({ code: 4, reason: "name-owned" });
    expect(await alice.publish(await text("again"), name)).toMatchObject({ code: 0 });
    expect(await newest(name)).toMatchObject({ sequence: 2, author: alice.email });
  });

  test("the domain's key publishes anywhere, and what it began is no author's", async () => {
    expect(await alice.publish(file, "helped")).toMatchObject({ code: 0 });
    expect(await domain.publish(await text("corrected"), "helped")).toMatchObject({ code: 0 });
    expect(await newest("helped")).toMatchObject({ sequence: 2, verified: "domain-key" });
    expect(await domain.publish(file, "the-domains")).toMatchObject({ code: 0 });
    expect(codeOf(await alice.publish(await text("mine?"), "the-domains"))).toBe("name-owned");
  });

  test("strangers do not come in: neither unlisted addresses, nor a key that is not the author's", async () => {
    const stranger = await Person.create(domain, `carol@other-${domain.domain}`, { inDns: true });
    expect(codeOf(await stranger.publish(file, "carols"))).toBe("key-not-authorized");
    const impostor = await Person.create(domain, alice.email.replace("alice", "mallory"), { inDns: false });
    expect(codeOf(await impostor.publish(file, "mallorys"))).toBe("no-author-key");
    const asAlice = ["--key", impostor.keyFile, "--author", alice.email];
    const posing = await domain.holdfast("publish", file, `${domain.domain}/posing`, ...asAlice);
    expect(codeOf(posing)).toBe("key-not-authorized");
  });
});

test("the edge itself refuses an author's Version of another's name, whatever client sends it", async () => {
  expect(await alice.publish(file, "at-the-edge")).toMatchObject({ code: 0 });
  const { version: previous, manifest, size } = await newest("at-the-edge");
  const name = parseName("at-the-edge");
  const versionBy = async (person: Person) =>
    signStatement(
      versionKind,
      {
        type: "holdfast-version-1",
        ...{ domain: domain.domain, name, nameHash: nameHashOf(domain.domain, name) },
        ...{ sequence: 2, previous, manifest, size, author: person.email, time: new Date().toISOString() },
      },
      await person.signer(),
    );
  const post = async (person: Person) => {
    const manifestBytes = await (await fetch(`${network.edgeUrl}/chunk/${manifest}`)).arrayBuffer();
    const statement = {
      version: formatSigned(await versionBy(person)),
      manifest: Buffer.from(manifestBytes).toString("base64"),
      witnesses: [],
    };
    const body = JSON.stringify({ statements: [statement], receipts: [] });
    const headers = { "content-type": "application/json" };
    return (await fetch(`${network.edgeUrl}/names`, { method: "POST", headers, body })).json();
  };
  expect(await post(bob)).toMatchObject({ status: 403, code: "name-owned" });
  expect(await post(alice)).toMatchObject({ results: [{ status: "accepted" }] });
});

describe("a delegation", () => {
  const delegate = async (by: string, person: Person, ...options: string[]) => {
    const { code, stdout, stderr } = await domain.holdfast(
      ...["domain", "delegate", domain.domain, "--key", by, "--to", `${person.keyFile}.pub`],
      ...["--email", person.email, ...options],
    );
    expect({ code, stderr }).toMatchObject({ code: 0 });
    const path = await domain.writeFile(`${person.email}.${Math.random()}.delegation`, stdout);
    return { path, revocation: /TXT record .*: (v=hf1; revoked=[0-9a-f]{64})/.exec(stderr)?.[1] ?? "" };
  };
  let ci: Person;
  beforeAll(async () => {
    ci = await Person.create(domain, `ci@${domain.domain}`, { inDns: false });
  });

  test("by the domain lets a key without any record write the names that it covers, and no others", async () => {
    const { path } = await delegate(domain.keyFile, ci, "--names", "nightly/*", "--names", "latest");
    const by = ["--delegation", path];
    expect(await ci.publish(file, "nightly/build", ...by)).toMatchObject({ code: 0 });
    expect(await ci.publish(file, "latest", ...by)).toMatchObject({ code: 0 });
    expect(await newest("nightly/build")).toMatchObject({
      verified: "delegation",
      delegatedBy: null,
      author: ci.email,
    });
    expect(await domain.holdfast("get", `${domain.domain}/latest`, "-o", "-")).toMatchObject({
      stdout: "bytes",
    });
    expect(codeOf(await ci.publish(file, "stable/build", ...by))).toBe("delegation-mismatch");
    expect(codeOf(await ci.publish(file, "nightly/build2"))).toBe("key-not-authorized");
    expect(codeOf(await bob.publish(file, "nightly/bobs", ...by))).toBe("delegation-mismatch");
  });

  test("covers a tree as it covers a file", async () => {
    const { path } = await delegate(domain.keyFile, ci, "--names", "site/*");
    const dir = domain.folder;
    const published = await ci.publish(dir, "site/docs", "--delegation", path, "--json");
    expect(published, published.stderr).toMatchObject({ code: 0 });
    expect(await domain.holdfast("ls", `${domain.domain}/site/docs`)).toMatchObject({
      code: 0,
      stdout: expect.stringContaining("file"),
    });
  });

  test("holds between its dates", async () => {
    const [past, future] = ["2025-01-01", "2030-01-01"];
    const over = await delegate(domain.keyFile, ci, "--names", "*", "--begin", past, "--until", "2025-06-01");
    const early = await delegate(domain.keyFile, ci, "--names", "*", "--begin", future);
    for (const { path } of [over, early])
      expect(codeOf(await ci.publish(file, "out-of-time", "--delegation", path))).toBe("delegation-mismatch");
  });

  test("ends when the domain revokes it", async () => {
    const { path, revocation } = await delegate(domain.keyFile, ci, "--names", "revoked/*");
    expect(await ci.publish(file, "revoked/before", "--delegation", path)).toMatchObject({ code: 0 });
    await addRecords(domain, revocation);
    const name = () => `revoked/after-${Math.random()}`;
    await vi.waitUntil(
      async () => codeOf(await ci.publish(file, name(), "--delegation", path)) === "delegation-mismatch",
      SEEN,
    );
  });

  test("by an author is about their own names only", async () => {
    const { path } = await delegate(alice.keyFile, bob, "--names", "*", "--by", alice.email);
    expect(await alice.publish(file, "alices-shared")).toMatchObject({ code: 0 });
    const written = await bob.publish(await text("by bob"), "alices-shared", "--delegation", path);
    expect(written, written.stderr).toMatchObject({ code: 0 });
    expect(await newest("alices-shared")).toMatchObject({ delegatedBy: alice.email, author: bob.email });
    expect(await domain.publish(file, "not-alices")).toMatchObject({ code: 0 });
    expect(codeOf(await bob.publish(await text("no"), "not-alices", "--delegation", path))).toBe(
      "name-owned",
    );
  });

  test("by somebody who has nothing to delegate gives nothing", async () => {
    const { path } = await delegate(bob.keyFile, ci, "--names", "*");
    expect(codeOf(await ci.publish(file, "by-bobs-leave", "--delegation", path))).toBe("delegation-mismatch");
  });
});

test("in an exclusive domain neither an author's own key nor a delegation makes Versions", async () => {
  const exclusive = await Publisher.create(network);
  const person = await Person.create(exclusive, `dan@mail-of-${exclusive.domain}`, { inDns: true });
  const { stdout } = await exclusive.holdfast(
    ...["domain", "delegate", exclusive.domain, "--key", exclusive.keyFile, "--to", `${person.keyFile}.pub`],
    ...["--email", person.email, "--names", "*"],
  );
  const path = await exclusive.writeFile("delegation", stdout);
  expect(codeOf(await person.publish(file, "dans"))).toBe("key-not-authorized");
  expect(codeOf(await person.publish(file, "dans", "--delegation", path))).toBe("key-not-authorized");
  expect(await exclusive.publish(file, "dans")).toMatchObject({ code: 0 });
});
