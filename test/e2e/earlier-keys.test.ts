// Keys that DNS shows no longer: what was witnessed while they stood goes on, what is dated back does not.

import { appendFile, readFile } from "node:fs/promises";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { setTimeout } from "node:timers/promises";
import { afterAll, beforeAll, expect, inject, test, vi } from "vitest";
import { formatRotationRecord } from "../../lib/domain-records.ts";
import { importSigner } from "../../lib/ed25519.ts";
import { hashBytes } from "../../lib/hash.ts";
import { nameHashOf, parseName } from "../../lib/names.ts";
import { signRotation } from "../../lib/rotation.ts";
import { createStatementSigner } from "../../lib/sshsig.ts";
import { type SignedStatement, signStatement } from "../../lib/statement.ts";
import { type VerifiedVersion, versionKind } from "../../lib/version.ts";
import { parseNameAnswer } from "../../lib/wire/names.ts";
import { formatSigned, type ListedJson } from "../../lib/wire/signed.ts";
import { signWitness } from "../../lib/witness.ts";
import { addRecords, dropRecords, Person } from "./people.ts";
import { type CliResult, Publisher } from "./publisher.ts";

const network = inject("network");
const NAME = parseName("kept");
/** So long an edge goes by what it has seen in DNS. */
const TTL_SECONDS = 1;
const codeOf = ({ stderr }: CliResult) => /\(([a-z-]+)\)\n/.exec(stderr)?.[1];

let domain: Publisher;
let successor: Person;
let fake: { url: string; answer: unknown; stop(): void };

/** A domain whose first key made a Version, and is gone from DNS, for another. */
beforeAll(async () => {
  domain = await Publisher.create(network, { records: false });
  await addKey(domain.keyFile);
  const published = await domain.publish(await domain.writeFile("old", "by the old key"), NAME);
  expect(published, published.stderr).toMatchObject({ code: 0 });
  successor = await Person.create(domain, domain.author, { inDns: false });
  await addKey(successor.keyFile);
  // Whoever knows the domain sees the keys overlap.
  expect(await get()).toMatchObject({ code: 0, stdout: "by the old key" });
  const [, blob = ""] = (await readFile(`${domain.keyFile}.pub`, "utf8")).split(" ");
  await dropRecords(network.zoneFile, blob);
  await setTimeout(2 * TTL_SECONDS * 1000);
  fake = await serveAnswer();
});
afterAll(() => fake.stop());

async function addKey(keyFile: string): Promise<void> {
  const { stdout } = await domain.holdfast(
    ...["domain", "records", domain.domain, "--key", `${keyFile}.pub`, "--ttl", String(TTL_SECONDS)],
  );
  await appendFile(network.zoneFile, stdout);
}

async function serveAnswer() {
  const state = { url: "", answer: {} as unknown, stop: () => undefined as unknown };
  const server = createServer((request, response) => {
    const isName = request.url?.startsWith("/name/") ?? false;
    response.writeHead(isName ? 200 : 404, { "content-type": "application/json" });
    response.end(JSON.stringify(isName ? state.answer : {}));
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  state.url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  state.stop = () => server.close();
  return state;
}

async function realAnswer() {
  const nameHash = nameHashOf(domain.domain, NAME);
  return parseNameAnswer(
    await (await fetch(`${network.edgeUrl}/name/${nameHash}?domain=${domain.domain}`)).json(),
  );
}

/** What a thief of the old key would sign: the next Version, dated to when the key still stood. */
async function backDated(signer = domain.signer()): Promise<VerifiedVersion> {
  const answer = await realAnswer();
  const [newest] = answer.versions;
  const previous = hashBytes(Buffer.from(newest?.statement ?? "", "base64"));
  const { time, manifest, size } = JSON.parse(Buffer.from(newest?.statement ?? "", "base64").toString());
  return signStatement(
    versionKind,
    {
      type: "holdfast-version-1",
      ...{ domain: domain.domain, name: NAME, nameHash: nameHashOf(domain.domain, NAME) },
      ...{ sequence: 2, previous, time, manifest, size, author: domain.author },
    },
    await signer,
  );
}

const listed = (version: VerifiedVersion, witnesses: SignedStatement[] = []): ListedJson => ({
  ...formatSigned(version),
  witnesses: witnesses.map(formatSigned),
});
const post = async (version: VerifiedVersion, witnesses: SignedStatement[] = []) => {
  const { manifest } = await realAnswer();
  const statement = { version: formatSigned(version), manifest, witnesses: witnesses.map(formatSigned) };
  const response = await fetch(`${network.edgeUrl}/names`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ statements: [statement], receipts: [] }),
  });
  return response.json();
};
const get = (...options: string[]) =>
  domain.holdfast("get", `${domain.domain}/${NAME}`, "-o", "-", ...options);

/** A witness by an edge that nobody has chosen, as if the old key still stood in DNS. */
async function strangersWitness(version: VerifiedVersion): Promise<SignedStatement> {
  const signer = createStatementSigner(await importSigner(new Uint8Array(32).fill(9)));
  const [, blob = ""] = (await readFile(`${domain.keyFile}.pub`, "utf8")).split(" ");
  const evidence = {
    ...{ ad: false, records: [`v=hf1; k=ssh-ed25519; p=${blob}`], ttlSeconds: 5 },
    ...{ resolvers: ["https://resolver.test"], agreement: 1, resolvedAt: version.body.time, stale: false },
  };
  const domainKeys = {
    ...{ domain: domain.domain, policy: "exclusive" as const, authors: [], keys: [], problems: [] },
    ...{ hasWithdrawnKey: false, revoked: [], rotations: [], evidence },
  };
  const right = { by: "domain-key" as const };
  const authority = { right, isAuthorVerified: false, domainKeys, authorKeys: null };
  return signWitness(version, authority, hashBytes(signer.key), Date.parse(version.body.time), signer);
}

test("what the reader's own edge witnessed stays valid, and is told as such", async () => {
  expect(await get()).toMatchObject({ code: 0, stdout: "by the old key" });
  const log = await domain.holdfast("log", `${domain.domain}/${NAME}`, "--json");
  expect(JSON.parse(log.stdout)).toMatchObject([{ verified: "domain-key", witnesses: [{}] }]);
});

test("without a witness by an edge that the reader has chosen, it is not: a copy elsewhere does not stand alone", async () => {
  const answer = await realAnswer();
  fake.answer = { ...answer, versions: answer.versions.map((version) => ({ ...version, witnesses: [] })) };
  const alone = await get("--edge", fake.url);
  expect({ code: alone.code, reason: codeOf(alone) }).toEqual({ code: 4, reason: "key-not-authorized" });
  // Beside the edge it does no harm.
  expect(await get("--from", fake.url)).toMatchObject({ code: 0, stdout: "by the old key" });
});

test("a Version that the old key signs now, dated back, is refused by the edge and by readers", async () => {
  const forged = await backDated();
  expect(await post(forged)).toMatchObject({ status: 403, code: "key-not-authorized" });
  for (const witnesses of [[], [await strangersWitness(forged)]]) {
    expect(await post(forged, witnesses)).toMatchObject({ status: 403, code: "key-not-authorized" });
    const answer = await realAnswer();
    fake.answer = { ...answer, versions: [listed(forged, witnesses), ...answer.versions] };
    const { code, stdout, stderr } = await get("--from", fake.url);
    expect({ code, stdout }).toEqual({ code: 0, stdout: "by the old key" });
    expect(stderr).toContain("key-not-authorized");
    const log = await domain.holdfast("log", `${domain.domain}/${NAME}`, "--json", "--from", fake.url);
    expect(JSON.parse(log.stdout)).toMatchObject([
      { sequence: 2, verified: "not verified: key-not-authorized" },
      { sequence: 1, verified: "domain-key" },
    ]);
  }
});

test("the witness of another Version does not pass for this one's", async () => {
  const forged = await backDated();
  const answer = await realAnswer();
  const [real] = answer.versions;
  fake.answer = {
    ...answer,
    versions: [{ ...listed(forged), witnesses: real?.witnesses ?? [] }, ...answer.versions],
  };
  const { code, stdout } = await get("--from", fake.url);
  expect({ code, stdout }).toEqual({ code: 0, stdout: "by the old key" });
});

test("the new key goes on where the old one ended", async () => {
  expect(await post(await backDated(successor.signer()))).toMatchObject({
    results: [{ status: "accepted" }],
  });
  const file = await domain.writeFile("next", "by the new key");
  expect(await successor.publish(file, NAME)).toMatchObject({
    code: 0,
    stdout: expect.stringContaining("sequence 3"),
  });
  expect(await get()).toMatchObject({ code: 0, stdout: "by the new key" });
});

test("where the old key has named the new one, what the new one's Versions follow needs no witness any more", async () => {
  const answer = await realAnswer();
  const bare = answer.versions.map((version) => ({ ...version, witnesses: [] }));
  const forged = await backDated();
  fake.answer = { ...answer, versions: [...bare.slice(0, 2), listed(forged), ...bare.slice(2)] };
  const logged = async () =>
    JSON.parse(
      (await domain.holdfast("log", `${domain.domain}/${NAME}`, "--json", "--edge", fake.url)).stdout,
    );
  const refused = "not verified: key-not-authorized";
  const rights = (await logged()).map(({ verified }: { verified: string }) => verified).sort();
  expect(rights).toEqual(["domain-key", "domain-key", refused, refused]);
  const to = (await successor.signer()).key;
  const time = new Date().toISOString();
  const rotation = await signRotation({ domain: domain.domain, to, time }, await domain.signer());
  await addRecords(domain, formatRotationRecord(rotation));
  await vi.waitUntil(
    async () => (await logged()).some(({ verified }: { verified: string }) => verified === "successor"),
    { timeout: 20_000, interval: 1000 },
  );
  // A sibling that nothing follows is still nobody's.
  expect(await logged()).toContainEqual(expect.objectContaining({ version: forged.id, verified: refused }));
});
