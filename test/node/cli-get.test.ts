// The reading commands as processes of their own, against servers and DNS on the loopback interface: what lands in
// files and on stdout, and with which exit code each failure ends.

import { spawn } from "node:child_process";
import { readdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { EXIT } from "../../cli/failure.ts";
import type { StatementSigner } from "../../lib/sshsig.ts";
import type { Version } from "../../lib/version.ts";
import { parseSuspectRequest, type SuspectRequest } from "../../lib/wire/chunks.ts";
import { formatSigned } from "../../lib/wire/signed.ts";
import { holdfast, type Run, stateFolder } from "./cli-fixture.ts";
import {
  answerChunk,
  answerJson,
  answerProblem,
  closeAll,
  contactAt,
  DOMAIN,
  encodeBase64,
  type Handler,
  makeObject,
  makeSigner,
  NAME_HASH,
  publishKeys,
  readRequest,
  serve,
  serveLocate,
  signVersion,
  type TestObject,
  type TestServer,
  temporaryFolder,
} from "./client-fixture.ts";

const TARGET = "example.test/app.iso";

let cwd: string;
let dohUrl: string;
let owner: StatementSigner;
let object: TestObject;
let holder: TestServer;
let edge: TestServer;

beforeEach(async () => {
  cwd = await temporaryFolder();
  owner = await makeSigner(1);
  ({ dohUrl } = await publishKeys([owner]));
  object = makeObject(20, 10_000);
  holder = await serve((request, response) => answerChunk(object.chunks, request, response));
  edge = await startEdge(owner, holder.url);
});
afterEach(closeAll);

async function startEdge(
  signer: StatementSigner,
  holderUrl: string,
  changes: Partial<Version> = {},
): Promise<TestServer> {
  const version = await signVersion(signer, object, changes);
  const answer: Handler = (request, response) => {
    if (!request.url?.startsWith(`/name/${NAME_HASH}`)) return answerProblem(response, "not-found", 404);
    const versions = [{ ...formatSigned(version), witnesses: [] }];
    const manifest = encodeBase64(object.manifestBytes);
    answerJson(response, { domain: DOMAIN, nameHash: NAME_HASH, versions, manifest, next: null });
  };
  return serveLocate([await contactAt(holderUrl, 9)], answer);
}

function run(...args: string[]): Promise<Run> {
  return holdfast(args, { cwd, env: { HOLDFAST_EDGE: edge.url, HOLDFAST_DOH: dohUrl } });
}

/** Holders that have nothing, give something else, are gone, and the one that gives; and what the edge was told of them. */
async function amongBadHolders(): Promise<{
  complaints: SuspectRequest["chunks"];
  bad: string[];
  gone: string;
}> {
  const empty = await serve((request, response) => answerChunk(new Map(), request, response));
  const spoilt = new Map([...object.chunks].map(([hash, bytes]) => [hash, Buffer.alloc(bytes.length, 1)]));
  const lying = await serve((request, response) => answerChunk(spoilt, request, response));
  const contacts = [
    await contactAt(empty.url, 11),
    await contactAt(lying.url, 12),
    await contactAt("http://127.0.0.1:1", 13),
    await contactAt(holder.url, 9),
  ];
  const complaints: SuspectRequest["chunks"] = [];
  const named = await startEdge(owner, holder.url);
  edge = await serveLocate(contacts, async (request, response) => {
    if (request.url === "/chunk/suspect") {
      complaints.push(...parseSuspectRequest(JSON.parse((await readRequest(request)).toString())).chunks);
      return answerJson(response, { noted: 1 });
    }
    const answer = await fetch(`${named.url}${request.url}`);
    response.writeHead(answer.status, { "content-type": answer.headers.get("content-type") ?? "" });
    response.end(Buffer.from(await answer.arrayBuffer()));
  });
  const [first = "", second = "", third = ""] = contacts.map(({ id }) => `${id}`);
  return { complaints, bad: [first, second], gone: third };
}

/** Beside what it knows of the name. */
const chunksAsked = () => holder.requests.filter((request) => request.includes("/chunk/"));

describe("complaints of", () => {
  test("get and verify name the holders that had nothing or gave something else, at the end and quietly", async () => {
    const { complaints, bad, gone } = await amongBadHolders();
    expect((await run("get", TARGET)).code).toBe(EXIT.ok);
    expect(await readFile(join(cwd, "app.iso"))).toEqual(object.bytes);
    expect([...new Set(complaints.map(({ node }) => node as string))].sort()).toEqual(bad.toSorted());
    for (const { hash } of complaints) expect([...object.chunks.keys()]).toContain(hash);
    expect(complaints.map(({ node }) => node as string)).not.toContain(gone);
  });

  test("a reading that went well are none", async () => {
    const told: string[] = [];
    expect((await run("get", TARGET)).code).toBe(EXIT.ok);
    told.push(...edge.requests.filter((request) => request.includes("/chunk/suspect")));
    expect(told).toEqual([]);
  });
});

describe("get", () => {
  test("writes the verified object under the name's last segment, and leaves no .part", async () => {
    const { code, stdout, stderr } = await run("get", TARGET);
    expect({ code, stdout: stdout.toString() }).toEqual({ code: EXIT.ok, stdout: "" });
    expect(stderr).toContain("sequence 1 of 2026-01-02T03:04:05.678Z by alice@example.test, verified");
    expect(await readdir(cwd)).toEqual(["app.iso"]);
    expect((await readFile(join(cwd, "app.iso"))).equals(object.bytes)).toBe(true);
  });

  test("does not go back from what an earlier run has seen, unless it is told to; then that counts", async () => {
    const newer = { sequence: 2, previous: NAME_HASH };
    const [behind, ahead] = [edge, await startEdge(owner, holder.url, newer)];
    edge = ahead;
    expect((await run("get", TARGET, "-o", "new")).code).toBe(EXIT.ok);
    edge = behind;
    for (const command of [
      ["get", TARGET],
      ["verify", TARGET, "new"],
    ]) {
      const refused = await run(...command);
      expect(refused.code).toBe(EXIT.unverified);
      expect(refused.stderr).toMatch(/sequence 2 of .* was seen here before \(rolled-back\).*--allow-older/s);
    }
    expect(await readdir(cwd)).toEqual(["new"]);
    const listed = await run("log", TARGET, "--no-holders");
    expect({ code: listed.code, stderr: listed.stderr }).toMatchObject({
      code: EXIT.unverified,
      stderr: expect.stringContaining("(rolled-back)"),
    });
    expect(listed.stdout.toString()).toContain("sequence  1");
    expect((await run("get", TARGET, "--allow-older")).code).toBe(EXIT.ok);
    expect((await run("verify", TARGET, "app.iso")).code).toBe(EXIT.ok);
  });

  test("streams to stdout with -o -, and nothing else", async () => {
    const { code, stdout } = await run("get", TARGET, "-o", "-");
    expect(code).toBe(EXIT.ok);
    expect(stdout.equals(object.bytes)).toBe(true);
    expect(await readdir(cwd)).toEqual([]);
  });

  test("ends quietly when the reader of its stdout goes away", async () => {
    object = makeObject(200, 100_000);
    edge = await startEdge(owner, holder.url);
    const command = '"$0" "$1" get example.test/app.iso -o - | head -c 10 | wc -c; echo $PIPESTATUS';
    const main = join(import.meta.dirname, "..", "..", "cli", "main.ts");
    const env = {
      ...{ ...process.env, HOLDFAST_EDGE: edge.url, HOLDFAST_DOH: dohUrl },
      XDG_STATE_HOME: stateFolder(cwd),
    };
    const child = spawn("bash", ["-c", command, process.execPath, main], { cwd, env });
    let stdout = "";
    let stderr = "";
    child.stdout.on("data", (block) => (stdout += block));
    child.stderr.on("data", (block) => (stderr += block));
    await new Promise((resolve) => child.on("close", resolve));
    expect(stdout.split("\n")).toEqual(["10", "0", ""]);
    expect(stderr).not.toMatch(/EPIPE|Error/);
  });

  test("refuses to overwrite a file without --force, before it asks anybody", async () => {
    await writeFile(join(cwd, "app.iso"), "mine");
    const refused = await run("get", TARGET);
    expect(refused.code).toBe(EXIT.usage);
    expect(refused.stderr).toContain("--force");
    expect(edge.requests).toEqual([]);
    expect(await readFile(join(cwd, "app.iso"), "utf8")).toBe("mine");
    expect((await run("get", TARGET, "--force")).code).toBe(EXIT.ok);
    expect((await readFile(join(cwd, "app.iso"))).equals(object.bytes)).toBe(true);
  });

  test("goes on from a .part whose bytes verify, and repairs those that do not", async () => {
    const part = Buffer.from(object.bytes.subarray(0, 155_000));
    part[5] = (part[5] ?? 0) ^ 1;
    await writeFile(join(cwd, "out.part"), part);
    const { code } = await run("get", TARGET, "-o", "out");
    expect(code).toBe(EXIT.ok);
    expect(await readdir(cwd)).toEqual(["out"]);
    expect((await readFile(join(cwd, "out"))).equals(object.bytes)).toBe(true);
    expect(chunksAsked()).toHaveLength(20 - 14);
  });

  test("cuts a .part that is longer than the object", async () => {
    await writeFile(join(cwd, "out.part"), Buffer.concat([object.bytes, object.bytes]));
    expect((await run("get", TARGET, "-o", "out")).code).toBe(EXIT.ok);
    expect((await readFile(join(cwd, "out"))).equals(object.bytes)).toBe(true);
    expect(chunksAsked()).toEqual([]);
  });

  test("with --json prints what it got", async () => {
    const { stdout } = await run("get", TARGET, "--json");
    expect(JSON.parse(stdout.toString())).toMatchObject({
      file: "app.iso",
      sequence: 1,
      size: object.bytes.length,
      digest: object.manifest.digest,
    });
  });

  test("exits with 3 for a name that nobody knows", async () => {
    const { code, stderr } = await run("get", "example.test/other.iso");
    expect(code).toBe(EXIT.notFound);
    expect(stderr).toContain("(not-found)");
    expect(await readdir(cwd)).toEqual([]);
  });

  test("exits with 4 for a Version by a key that is not the domain's", async () => {
    edge = await startEdge(await makeSigner(2), holder.url);
    const { code, stdout } = await run("get", TARGET, "-o", "-");
    expect({ code, stdout: stdout.toString() }).toEqual({ code: EXIT.unverified, stdout: "" });
  });

  test("exits with 5 when the only holder sends wrong bytes, and keeps none of them", async () => {
    const liar = await serve((_request, response) => response.end(Buffer.alloc(10_000)));
    edge = await startEdge(owner, liar.url);
    const { code, stderr } = await run("get", TARGET);
    expect(code).toBe(EXIT.unreachable);
    expect(stderr).toContain("(no-holder)");
    expect(stderr).toContain("(content-hash-mismatch)");
    expect(await readdir(cwd)).toEqual(["app.iso.part"]);
    expect((await readFile(join(cwd, "app.iso.part"))).length).toBe(0);
  });

  test("asks --from servers too, and warns of an edge that is down", async () => {
    const { url } = edge;
    edge = await serve(() => undefined);
    await edge.close();
    const { code, stderr } = await run("get", TARGET, "--from", url);
    expect(code).toBe(EXIT.ok);
    expect(stderr).toContain(`holdfast: warning: ${edge.url}: cannot reach`);
  });
});

describe("verify", () => {
  test("is content with the right bytes, from a file or from stdin", async () => {
    await writeFile(join(cwd, "file"), object.bytes);
    expect((await run("verify", TARGET, "file")).code).toBe(EXIT.ok);
    const env = { HOLDFAST_EDGE: edge.url, HOLDFAST_DOH: dohUrl };
    const piped = await holdfast(["verify", TARGET, "-", "--json"], { cwd, env, input: object.bytes });
    expect(JSON.parse(piped.stdout.toString())).toMatchObject({ matches: true, sequence: 1 });
  });

  test("exits with 4 and says where the bytes differ", async () => {
    const bytes = Buffer.from(object.bytes);
    bytes[123_456] = (bytes[123_456] ?? 0) ^ 1;
    await writeFile(join(cwd, "file"), bytes);
    const { code, stdout, stderr } = await run("verify", TARGET, "file");
    expect({ code, stdout: stdout.toString() }).toEqual({ code: EXIT.unverified, stdout: "" });
    expect(stderr).toContain("file differs within bytes 120000 to 129999");
  });

  test("exits with 1 for a file that is not there", async () => {
    const { code, stderr } = await run("verify", TARGET, "nowhere");
    expect(code).toBe(EXIT.failed);
    expect(stderr).toContain("(ENOENT)");
  });
});

test("log lists the Versions with how each was verified", async () => {
  const { code, stdout } = await run("log", TARGET, "--json");
  expect(code).toBe(EXIT.ok);
  expect(JSON.parse(stdout.toString())).toMatchObject([
    {
      sequence: 1,
      previous: null,
      author: "alice@example.test",
      verified: "domain-key",
      servers: [edge.url],
    },
  ]);
  expect((await run("log", TARGET)).stdout.toString()).toMatch(
    /^version [0-9a-f]{64}\n {2}sequence {2}1, .*2026-01-02T03:04:05.678Z\n/,
  );
});

test("log shows a fork in both of its Versions, and ends with it", async () => {
  const other = await startEdge(owner, holder.url, { time: "2026-01-03T00:00:00.000Z" });
  const { code, stdout, stderr } = await run("log", TARGET, "--json", "--no-holders", "--from", other.url);
  const listed = parseForks(JSON.parse(stdout.toString()));
  const ids = listed.map(({ version }) => version);
  expect(listed.map(({ forkedWith }) => forkedWith)).toEqual(ids.toReversed().map((id) => [id]));
  expect({ code, stderr }).toEqual({
    code: EXIT.unverified,
    stderr: expect.stringContaining('"code":"fork"'),
  });
  const text = (await run("log", TARGET, "--no-holders", "--from", other.url)).stdout.toString();
  expect(text.match(/^ {2}fork +the same key signed [0-9a-f]{12}… at this sequence$/gm)).toHaveLength(2);
  expect((await run("log", TARGET, "--no-holders")).stdout.toString()).not.toContain("fork");
});

function parseForks(value: unknown): { version: string; forkedWith: string[] }[] {
  return value as { version: string; forkedWith: string[] }[];
}

test("domain show prints the keys that DNS shows", async () => {
  const { code, stdout } = await run("domain", "show", "example.test");
  expect(code).toBe(EXIT.ok);
  expect(stdout.toString()).toMatch(/^policy +exclusive\nkey +SHA256:/m);
  expect((await run("domain", "show", "nothing.test")).code).toBe(EXIT.notFound);
});
