// A domain's keys as the command sees them over real sockets: what it follows, where it stops, and the walk from one key
// to the next. The zone is a file that a DNS-over-HTTPS responder reads for each question.

import { execFile, spawn } from "node:child_process";
import { readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { promisify } from "node:util";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { EXIT } from "../../cli/failure.ts";
import { createDohResponder, type DohResponder } from "../../cli/local/doh-responder.ts";
import { formatZoneRecord, parseZoneFile } from "../../cli/local/zone-file.ts";
import { keyRecordName } from "../../lib/domain-keys.ts";
import { formatKeyRecords, parseDomainRecords } from "../../lib/domain-records.ts";
import { fingerprintOf, formatPrivateKeyFile, formatPublicKeyLine } from "../../lib/openssh-key.ts";
import type { StatementSigner } from "../../lib/sshsig.ts";
import { formatSigned } from "../../lib/wire.ts";
import { requirePrograms } from "../e2e/requires.ts";
import { encodeZone, type Zone } from "../lib/test-resolver.ts";
import { holdfast, type Run, stateFolder } from "./cli-fixture.ts";
import {
  answerChunk,
  answerJson,
  answerProblem,
  closeAll,
  contactAt,
  DOMAIN,
  encodeBase64,
  makeObject,
  makeSigner,
  NAME_HASH,
  readRequest,
  serve,
  serveLocate,
  signVersion,
  temporaryFolder,
} from "./client-fixture.ts";

const TARGET = `${DOMAIN}/app.iso`;
const OWNER = keyRecordName(DOMAIN);
const SIGNED_ZONE_TYPE = "application/dns-message";

const runProgram = promisify(execFile);
const { missing } = requirePrograms({ "ssh-keygen": "openssh-client", "ssh-agent": "openssh-client" });
const [a, b] = await Promise.all([makeSigner(1), makeSigner(2)]);
const recordOf = ({ key }: StatementSigner) => formatKeyRecords({ blob: key, emails: [] })[0] ?? "";
const object = makeObject(3, 2_000);

let cwd: string;
let zoneFile: string;
let responders: DohResponder[];
let dohUrls: string[];
/** Whose Version the edge has. */
let author: StatementSigner;
let edgeUrl: string;

beforeEach(async () => {
  cwd = await temporaryFolder();
  zoneFile = join(cwd, "zone");
  await writeZone([recordOf(a)]);
  responders = [];
  dohUrls = [await startDns(zoneFile)];
  author = a;
  edgeUrl = await startEdge();
  await writeKeyFile("a", 1, a);
  await writeKeyFile("b", 2, b);
});
afterEach(async () => {
  await Promise.all(responders.map((responder) => responder.stop()));
  await closeAll();
});

async function writeZone(texts: string[], file = zoneFile, ttlSeconds = 0): Promise<void> {
  await writeFile(file, texts.map((text) => `${formatZoneRecord(OWNER, text, ttlSeconds)}\n`).join(""));
}

async function startDns(file: string): Promise<string> {
  const responder = createDohResponder({ zoneFile: file });
  responders.push(responder);
  return (await responder.start()).url;
}

async function startEdge(): Promise<string> {
  const holder = await serve((request, response) => answerChunk(object.chunks, request, response));
  const { url } = await serveLocate([await contactAt(holder.url, 9)], async (request, response) => {
    if (!request.url?.startsWith(`/name/${NAME_HASH}`)) return answerProblem(response, "not-found", 404);
    const versions = [{ ...formatSigned(await signVersion(author, object)), witnesses: [] }];
    const manifest = encodeBase64(object.manifestBytes);
    answerJson(response, { domain: DOMAIN, nameHash: NAME_HASH, versions, manifest, next: null });
  });
  return url;
}

async function writeKeyFile(name: string, fill: number, { key }: StatementSigner): Promise<void> {
  const pair = { seed: new Uint8Array(32).fill(fill), blob: key };
  await writeFile(join(cwd, name), formatPrivateKeyFile(pair, name, 7), { mode: 0o600 });
  await writeFile(join(cwd, `${name}.pub`), `${formatPublicKeyLine(key, name)}\n`);
}

function run(...args: string[]): Promise<Run> {
  return holdfast(args, { cwd, env: { HOLDFAST_EDGE: edgeUrl, HOLDFAST_DOH: dohUrls.join(",") } });
}

/** The agent's socket appears a moment after its start. */
async function untilAdded(key: string, env: Record<string, string>): Promise<void> {
  for (let attempt = 0; ; attempt++) {
    try {
      await runProgram("ssh-add", [key], { env: { ...process.env, ...env } });
      return;
    } catch (error) {
      if (attempt === 50) throw error;
      await sleep(100);
    }
  }
}

const get = () => run("get", TARGET, "-o", "-");

describe("where a domain's keys change", () => {
  test("nothing is said at first, nor while they stay", async () => {
    for (const round of [1, 2]) {
      const { code, stderr, stdout } = await get();
      expect({ round, code, warned: stderr.includes("warning") }).toEqual({
        ...{ round, code: EXIT.ok, warned: false },
      });
      expect(stdout.equals(object.bytes)).toBe(true);
    }
    const known = await readFile(join(stateFolder(cwd), "holdfast", "known_domains"), "utf8");
    expect(known).toContain(`${DOMAIN} `);
    expect(known).toContain(fingerprintOf(a.key));
  });

  test("and none is left, every command stops with the reason, until the user trusts the new one", async () => {
    await get();
    await writeZone([recordOf(b)]);
    author = b;
    await writeFile(join(cwd, "app.iso"), object.bytes);
    const commands = [
      ["get", TARGET, "-o", "-"],
      ["ls", DOMAIN],
      ["log", TARGET],
      ["verify", TARGET, "app.iso"],
      ["publish", "app.iso", TARGET, "--key", "b", "--author", "b@example.test"],
    ];
    for (const command of commands) {
      const { code, stdout, stderr } = await run(...command);
      expect({ command, code, out: stdout.length }).toEqual({ command, code: EXIT.unverified, out: 0 });
      expect(stderr).toMatch(
        /HAVE CHANGED[\s\S]*holdfast domain trust example\.test[\s\S]*domain-keys-changed/,
      );
      expect(stderr).toContain(fingerprintOf(a.key));
      expect(stderr).toContain(fingerprintOf(b.key));
    }
    const asJson = await run("log", TARGET, "--json");
    expect(JSON.parse(asJson.stderr)).toMatchObject({ error: { code: "domain-keys-changed" } });
    const shown = await run("domain", "show", DOMAIN, "--json");
    expect(JSON.parse(shown.stdout.toString())).toMatchObject({ stop: "domain-keys-changed" });

    const trusted = await run("domain", "trust", DOMAIN, "--json");
    expect(JSON.parse(trusted.stdout.toString())).toMatchObject({
      before: { fingerprints: [fingerprintOf(a.key)] },
      now: { fingerprints: [fingerprintOf(b.key)] },
    });
    expect(await get()).toMatchObject({ code: EXIT.ok });
  });

  test("and a known one is still there, the command goes on and says so once, on stderr", async () => {
    await get();
    await writeZone([recordOf(a), recordOf(b)]);
    const first = await run("log", TARGET, "--json");
    expect(first.code).toBe(EXIT.ok);
    expect(JSON.parse(first.stdout.toString())).toHaveLength(1);
    expect(first.stderr).toContain(`added ${fingerprintOf(b.key)}`);
    expect((await run("log", TARGET)).stderr).not.toContain("warning");
    await writeZone([recordOf(b)]);
    author = b;
    expect(await get()).toMatchObject({ code: EXIT.ok });
  });
});

describe("domain rotate", () => {
  const rotate = (...more: string[]) =>
    run("domain", "rotate", DOMAIN, "--key", "a", "--to", "b.pub", ...more);
  const step = async (...more: string[]) => JSON.parse((await rotate("--json", ...more)).stdout.toString());

  test("walks from one key to the next, and those who know only the old one follow", async () => {
    await get();
    const first = await rotate();
    expect(first).toMatchObject({ code: EXIT.ok, stderr: expect.stringContaining("Step 1 of 3") });
    const added = parseZoneFile(first.stdout.toString());
    expect(added.map(({ owner }) => owner)).toEqual([OWNER, OWNER]);
    const before = await readFile(zoneFile, "utf8");
    await writeFile(zoneFile, before + first.stdout.toString());

    const second = await step();
    expect(second).toMatchObject({ stage: "overlap", add: [], remove: [recordOf(a)] });
    expect(Date.parse(second.removeAfter)).toBeGreaterThan(Date.now() + 3_500_000);
    expect((await rotate()).stderr).toContain(`Not before`);

    await writeFile(zoneFile, first.stdout);
    author = b;
    expect(await step()).toMatchObject({ stage: "done", add: [], remove: [] });
    const followed = await get();
    expect(followed.code).toBe(EXIT.ok);
    expect(followed.stderr).toContain("signed the rotation");
  });

  test("asks for the rotation record where the old key went without one", async () => {
    await get();
    await writeZone([recordOf(b)]);
    const { stage, add } = await step();
    expect({ stage, records: add.length }).toEqual({ stage: "publish", records: 1 });
    await writeZone([recordOf(b), ...add]);
    author = b;
    expect(await get()).toMatchObject({ code: EXIT.ok });
  });

  test("carries the old key's addresses over, or takes those that are given", async () => {
    await writeZone(formatKeyRecords({ blob: a.key, emails: ["alice@example.test"] }));
    const emailsOf = (add: string[]) => parseDomainRecords(add).keys.flatMap(({ emails }) => emails);
    expect(emailsOf((await step()).add)).toEqual(["alice@example.test"]);
    expect(emailsOf((await step("--email", "bob@example.test")).add)).toEqual(["bob@example.test"]);
  });

  test("waits with --wait until DNS shows the records, also while it fails", async () => {
    const { add } = await step();
    const waiting = rotate("--wait", "--json");
    await sleep(2_000);
    await writeFile(zoneFile, "no zone file");
    await sleep(5_000);
    await writeZone([recordOf(a), ...add]);
    const { stdout, stderr } = await waiting;
    expect(JSON.parse(stdout.toString())).toMatchObject({ stage: "overlap" });
    expect(stderr).toMatch(/^Step 1 of 3/);
  });

  test("of a compromised key makes no rotation, takes back those that name it, and stops who knew only it", async () => {
    await get();
    const { add } = await step();
    await writeZone([recordOf(a), ...add]);
    const [, rotation] = add;
    expect(await step("--compromised")).toMatchObject({
      ...{ stage: "remove", add: [], remove: [recordOf(a), rotation] },
    });
    await writeZone([recordOf(b)]);
    expect(await step("--compromised")).toMatchObject({ stage: "done" });
    expect((await rotate("--compromised")).stderr).toContain("holdfast domain trust");
    expect((await get()).code).toBe(EXIT.unverified);
  });

  test("of a compromised key needs no more than its public half, and adds the new one first", async () => {
    const { stdout } = await run(
      ...["domain", "rotate", DOMAIN, "--key", "a.pub", "--to", "b.pub", "--compromised", "--json"],
    );
    expect(JSON.parse(stdout.toString())).toMatchObject({
      ...{ stage: "publish", add: [recordOf(b)], remove: [recordOf(a)] },
    });
  });

  test("is refused from a key to itself, and where neither key is the domain's", async () => {
    const same = await run("domain", "rotate", DOMAIN, "--key", "a", "--to", "a.pub");
    expect(same.code).toBe(EXIT.usage);
    await writeZone([recordOf(await makeSigner(3))]);
    expect((await rotate()).stderr).toContain("key-not-authorized");
  });

  test.skipIf(missing.length > 0)(
    "signs through an agent where the old key is named by its public half",
    async () => {
      const socket = join(cwd, "agent");
      const agent = spawn("ssh-agent", ["-D", "-a", socket], { stdio: "ignore" });
      try {
        await untilAdded(join(cwd, "a"), { SSH_AUTH_SOCK: socket });
        await rm(join(cwd, "a"));
        const args = ["domain", "rotate", DOMAIN, "--key", "a.pub", "--to", "b.pub", "--json"];
        const env = { HOLDFAST_DOH: dohUrls.join(",") };
        const without = await holdfast(args, { cwd, env });
        expect(without).toMatchObject({ code: EXIT.failed, stderr: expect.stringContaining("ssh-add") });
        const { stdout } = await holdfast(args, { cwd, env: { ...env, SSH_AUTH_SOCK: socket } });
        const [, rotation = ""] = JSON.parse(stdout.toString()).add;
        await writeZone([recordOf(b), rotation]);
        const done = await holdfast(args, { cwd, env });
        expect(JSON.parse(done.stdout.toString())).toMatchObject({ stage: "done" });
      } finally {
        agent.kill();
      }
    },
  );

  test.skipIf(missing.length > 0)("makes a statement that ssh-keygen -Y verify accepts", async () => {
    const [rotation] = parseDomainRecords((await step()).add).rotations;
    if (rotation === undefined) throw new Error("there is no rotation");
    await writeFile(join(cwd, "statement.sig"), rotation.signature);
    await writeFile(join(cwd, "allowed"), `owner ${await readFile(join(cwd, "a.pub"), "utf8")}`);
    const verify = (bytes: Uint8Array, namespace: string) => {
      const args = ["-Y", "verify", "-f", "allowed", "-I", "owner", "-n", namespace, "-s", "statement.sig"];
      const child = runProgram("ssh-keygen", args, { cwd });
      child.child.stdin?.end(bytes);
      return child;
    };
    expect((await verify(rotation.bytes, "holdfast-domain")).stdout).toContain("Good");
    await expect(verify(rotation.bytes, "holdfast")).rejects.toThrow();
    const changed = rotation.bytes.map((byte, i) => (i === 20 ? byte ^ 1 : byte));
    await expect(verify(changed, "holdfast-domain")).rejects.toThrow();
  });
});

describe("of two resolvers", () => {
  test("that agree both are named; that differ nothing is believed; a third decides", async () => {
    const otherFile = join(cwd, "other-zone");
    await writeZone([recordOf(a)], otherFile);
    dohUrls.push(await startDns(otherFile));
    expect((await get()).code).toBe(EXIT.ok);
    const agreed = await run("domain", "show", DOMAIN, "--json");
    expect(JSON.parse(agreed.stdout.toString()).evidence).toMatchObject({ agreement: 2, resolvers: dohUrls });

    await writeZone([recordOf(a), recordOf(b)], otherFile);
    for (const command of [
      ["get", TARGET, "-o", "-"],
      ["log", TARGET],
    ]) {
      const { code, stderr, stdout } = await run(...command);
      expect({ code, out: stdout.length }).toEqual({ code: EXIT.unverified, out: 0 });
      expect(stderr).toMatch(/dns-disagreement[\s\S]*third resolver/);
    }
    dohUrls.push(await startDns(zoneFile));
    expect((await get()).code).toBe(EXIT.ok);
  });

  test("of which one is gone readers go on with the other, and publishers do not", async () => {
    dohUrls.push(await startDns(zoneFile));
    await responders[0]?.stop();
    expect((await get()).code).toBe(EXIT.ok);
    await writeFile(join(cwd, "f"), "f");
    const publish = await run("publish", "f", TARGET, "--key", "a", "--author", "a@example.test");
    expect(publish).toMatchObject({ code: EXIT.unreachable, stderr: expect.stringContaining("dns-failed") });
  });
});

test("where DNS is gone, readers go on with its last answer and are told; publishers, and strangers, do not", async () => {
  expect((await get()).code).toBe(EXIT.ok);
  await responders[0]?.stop();
  const stale = await get();
  expect(stale.stdout.equals(object.bytes)).toBe(true);
  expect(stale.stderr).toContain("DNS does not answer");
  await writeFile(join(cwd, "f"), "f");
  const publish = await run("publish", "f", TARGET, "--key", "a", "--author", "a@example.test");
  expect(publish).toMatchObject({ code: EXIT.unreachable, stderr: expect.stringContaining("dns-failed") });
  expect((await run("get", "other.test/x", "-o", "-")).code).toBe(EXIT.unreachable);
});

describe("where DNSSEC was seen and is gone", () => {
  let zone: Zone;

  beforeEach(async () => {
    zone = { texts: [recordOf(a)], ttl: 0, ad: true };
    const server = await serve(async (request, response) => {
      const query = new Uint8Array(await readRequest(request));
      response.writeHead(200, { "content-type": SIGNED_ZONE_TYPE });
      response.end(encodeZone(zone, query));
    });
    dohUrls = [`${server.url}/dns-query`];
    expect((await get()).code).toBe(EXIT.ok);
    zone.ad = false;
  });

  test("readers are warned each time, publishers stop, until the user says that it is meant", async () => {
    for (const round of [1, 2]) {
      const { code, stderr } = await get();
      expect({ round, code }).toEqual({ round, code: EXIT.ok });
      expect(stderr).toMatch(/DNSSEC before[\s\S]*holdfast domain trust/);
    }
    await writeFile(join(cwd, "f"), "f");
    const publish = () => run("publish", "f", TARGET, "--key", "a", "--author", "a@example.test");
    expect(await publish()).toMatchObject({
      ...{ code: EXIT.unverified, stderr: expect.stringContaining("dnssec-lost") },
    });
    expect((await run("domain", "show", DOMAIN)).stdout.toString()).toContain("LOST");
    expect((await run("domain", "trust", DOMAIN)).stdout.toString()).toContain("no longer");
    expect((await get()).stderr).not.toContain("DNSSEC");
    expect((await publish()).stderr).not.toContain("dnssec-lost");
  });

  test("a key that comes meanwhile is not taken, though a known one stands beside it", async () => {
    zone.texts = [recordOf(a), recordOf(b)];
    expect(await get()).toMatchObject({
      code: EXIT.unverified,
      stderr: expect.stringContaining("dnssec-lost"),
    });
  });
});

test("domain show tells of policy, authors, what was withdrawn and revoked, and what is known here", async () => {
  const revoked = "0".repeat(64);
  await writeZone([
    ...[recordOf(a), "v=hf1; policy=moderated; a=alice@example.test, *@example.net"],
    ...["v=hf1; k=ssh-ed25519; p=", `v=hf1; revoked=${revoked}`],
  ]);
  await get();
  const shown = (await run("domain", "show", DOMAIN)).stdout.toString();
  for (const text of [
    "moderated, open to alice@example.test, *@example.net",
    "withdrawn",
    `delegation ${revoked}`,
    fingerprintOf(a.key),
    "known here  these keys",
  ])
    expect(shown).toContain(text);
});
