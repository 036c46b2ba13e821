// The local DNS-over-HTTPS responder over real HTTP, asked by the resolver that the rest of Holdfast uses.

import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { decode, encode } from "@leichtgewicht/dns-packet";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { createDohResponder, type DohResponder, QUERY_BYTES_MAX } from "../../cli/local/doh-responder.ts";
import { formatZoneRecord } from "../../cli/local/zone-file.ts";
import { encodeTxtQuery, queryTxt } from "../../lib/dns.ts";
import { createDomainKeyResolver } from "../../lib/domain-keys.ts";
import { formatKeyRecords } from "../../lib/domain-records.ts";
import { parseDomain } from "../../lib/names.ts";
import { encodePublicKeyBlob } from "../../lib/openssh-key.ts";

const BLOB = encodePublicKeyBlob(new Uint8Array(32).fill(1));
const [KEY_TEXT = ""] = formatKeyRecords({ blob: BLOB, emails: ["alice@my.test"] });
const NAME = "_holdfast.my.test";
const TYPE = "application/dns-message";

let folder: string;
let zoneFile: string;
let responder: DohResponder;
let url: string;
let logged: string[];

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "holdfast-doh-"));
  zoneFile = join(folder, "zone");
  await writeFile(zoneFile, `${formatZoneRecord(NAME, KEY_TEXT)}\n`);
  logged = [];
  responder = createDohResponder({ zoneFile, log: (line) => logged.push(line) });
  ({ url } = await responder.start());
});

afterEach(async () => {
  await responder.stop();
  await rm(folder, { recursive: true });
});

const resolve = () =>
  createDomainKeyResolver({ fetch, dohUrls: [url], now: Date.now }).resolve(parseDomain("my.test"));
const post = (body: Uint8Array, headers: Record<string, string> = { "content-type": TYPE }) =>
  fetch(url, { method: "POST", headers, body: Uint8Array.from(body) });

async function decodeAnswer(response: Response) {
  expect(response.status).toBe(200);
  expect(response.headers.get("content-type")).toBe(TYPE);
  return decode(new Uint8Array(await response.arrayBuffer()));
}

describe("the resolver reads from it", () => {
  test("a domain's keys, with the local TTL and without the AD bit", async () => {
    const { keys, evidence } = await resolve();
    expect(keys).toMatchObject([{ blob: BLOB, emails: ["alice@my.test"] }]);
    expect(evidence).toMatchObject({ ad: false, ttlSeconds: 5, records: [KEY_TEXT] });
  });

  test("an edited record at once", async () => {
    await resolve();
    await writeFile(zoneFile, `${formatZoneRecord(NAME, KEY_TEXT.replace("alice", "bob"))}\n`);
    expect((await resolve()).keys[0]?.emails).toEqual(["bob@my.test"]);
  });

  test("a record longer than one string, byte for byte", async () => {
    const text = `${KEY_TEXT}; note=${"x".repeat(1000)}`;
    await writeFile(zoneFile, formatZoneRecord(NAME, text));
    expect((await resolve()).evidence.records).toEqual([text]);
  });

  test("that a name does not exist", async () => {
    await writeFile(zoneFile, "");
    await expect(resolve()).rejects.toMatchObject({ code: "domain-not-found" });
    expect(logged).toEqual([]);
  });

  test("that a name exists without records, where only a longer name has some", async () => {
    const answer = await queryTxt({ name: "my.test", dohUrl: url, fetch });
    expect(answer).toMatchObject({ exists: true, texts: [] });
  });

  test("a broken zone file as dns-failed, and the log names file and line", async () => {
    await writeFile(zoneFile, `${formatZoneRecord(NAME, KEY_TEXT)}\n$ORIGIN test.\n`);
    await expect(resolve()).rejects.toMatchObject({
      code: "dns-failed",
      message: expect.stringContaining("SERVFAIL"),
    });
    expect(logged).toEqual([expect.stringMatching(/zone: line 2: .*\$ORIGIN/)]);
  });

  test("a missing zone file as dns-failed", async () => {
    await rm(zoneFile);
    await expect(resolve()).rejects.toMatchObject({ code: "dns-failed" });
    expect(logged).toEqual([expect.stringContaining("ENOENT")]);
  });

  test("more records than a message holds as dns-failed", async () => {
    const record = formatZoneRecord(NAME, "x".repeat(4000));
    await writeFile(zoneFile, Array.from({ length: 17 }, () => record).join("\n"));
    await expect(resolve()).rejects.toMatchObject({ message: expect.stringContaining("SERVFAIL") });
  });
});

describe("over HTTP", () => {
  test("GET with the query in base64url answers as POST does", async () => {
    const query = encodeTxtQuery(NAME);
    const got = await fetch(`${url}?dns=${Buffer.from(query).toString("base64url")}`);
    const posted = await post(query);
    expect(new Uint8Array(await got.arrayBuffer())).toEqual(new Uint8Array(await posted.arrayBuffer()));
  });

  test("the answer carries the query's id, question and EDNS record", async () => {
    const query = encode({
      type: "query",
      id: 77,
      flags: 0x0100,
      questions: [{ type: "TXT", name: "_Holdfast.MY.test" }],
    });
    const answer = await decodeAnswer(await post(query));
    expect(answer).toMatchObject({
      id: 77,
      flag_qr: true,
      flag_rd: true,
      flag_aa: true,
      flag_ad: false,
      rcode: "NOERROR",
    });
    expect(answer.questions).toMatchObject([{ name: "_Holdfast.MY.test" }]);
    expect(answer.answers).toMatchObject([{ type: "TXT", ttl: 5 }]);
    expect(answer.additionals).toEqual([]);
    expect((await decodeAnswer(await post(encodeTxtQuery(NAME)))).additionals).toMatchObject([
      { type: "OPT" },
    ]);
  });

  const question = { type: "TXT" as const, name: NAME };
  const rcodes: [string, Parameters<typeof encode>[0], string][] = [
    ["another type is an empty answer", { questions: [{ type: "A", name: NAME }] }, "NOERROR"],
    ["another class is REFUSED", { questions: [{ ...question, class: "CH" }] }, "REFUSED"],
    ["opcode NOTIFY is NOTIMP", { flags: 0x2000, questions: [question] }, "NOTIMP"],
    ["opcode UPDATE is NOTIMP", { flags: 0x2800, questions: [question] }, "NOTIMP"],
    ["no question is FORMERR", {}, "FORMERR"],
    ["two questions are FORMERR", { questions: [question, question] }, "FORMERR"],
    [
      "a name that only ends alike does not exist",
      { questions: [{ type: "TXT", name: "y.test" }] },
      "NXDOMAIN",
    ],
  ];
  for (const [title, packet, rcode] of rcodes) {
    test(title, async () => {
      const answer = await decodeAnswer(await post(encode({ ...packet, type: "query", id: 9 })));
      expect(answer).toMatchObject({ id: 9, rcode, answers: [] });
    });
  }

  test("a query cut short is FORMERR", async () => {
    const answer = await decodeAnswer(await post(encodeTxtQuery(NAME).slice(0, 20)));
    expect(answer.rcode).toBe("FORMERR");
  });

  const query = encodeTxtQuery(NAME);
  const refusals: Record<string, [status: number, send: () => Promise<Response>]> = {
    "another path": [404, () => fetch(new URL("/", url))],
    "another method": [405, () => fetch(url, { method: "PUT", body: "x" })],
    "another media type": [415, () => post(query, { "content-type": "text/plain" })],
    "no query": [400, () => fetch(url)],
    "a query that is not base64url": [400, () => fetch(`${url}?dns=a%2Bb`)],
    "fewer bytes than a header": [400, () => post(query.slice(0, 11))],
    "an answer in place of a query": [400, () => post(encode({ type: "response", questions: [question] }))],
    "a body that is too large": [413, () => post(new Uint8Array(QUERY_BYTES_MAX + 1))],
    "a body that goes on and on": [413, () => post(new Uint8Array(4 * 1024 * 1024))],
    "a parameter that is too large": [413, () => fetch(`${url}?dns=${"A".repeat(6000)}`)],
  };
  for (const [title, [status, send]] of Object.entries(refusals)) {
    test(`${title} is refused with ${status}`, async () => {
      expect((await send()).status).toBe(status);
    });
  }
});

describe("its life", () => {
  test("it listens on the loopback address only", () => {
    expect(new URL(url).hostname).toBe("127.0.0.1");
  });

  test("it does not listen before start or after stop", async () => {
    await responder.stop();
    await expect(fetch(url)).rejects.toThrow();
    responder = createDohResponder({ zoneFile, port: Number(new URL(url).port) });
    await expect(fetch(url)).rejects.toThrow();
    expect((await responder.start()).url).toBe(url);
  });

  test("stopping what was never started, or twice, is no error", async () => {
    await createDohResponder({ zoneFile }).stop();
    await responder.stop();
    await responder.stop();
  });

  test("a port that is taken is an error of start", async () => {
    const second = createDohResponder({ zoneFile, port: Number(new URL(url).port) });
    await expect(second.start()).rejects.toThrow("EADDRINUSE");
  });
});
