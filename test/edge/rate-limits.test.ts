// Limits on what one address may ask and one domain may write, at an edge whose limits are a few requests: what is over them is
// refused before it costs anything, others are not touched, and it ends.

import { SELF } from "cloudflare:test";
import { beforeEach, describe, expect, test, vi } from "vitest";
import { importSigner } from "../../lib/ed25519.ts";
import { parseDomain } from "../../lib/names.ts";
import { formatPublicKeyText } from "../../lib/openssh-key.ts";
import { createStatementSigner } from "../../lib/sshsig.ts";
import { signStatement } from "../../lib/statement.ts";
import { grantKind } from "../../lib/upload.ts";
import { formatSigned } from "../../lib/wire/signed.ts";
import { budgetOf } from "../../workers/rate-limits.ts";
import { LIMITED_DOMAINS, LIMITED_KEY_FILL } from "./dns-domains.ts";
import { EDGE } from "./test-node.ts";

const HASH = "ab".repeat(32);
/** As vitest.config.ts sets them. */
const LIMITS = { reads: 5, lookups: 4, writes: 3, registrations: 2, dns: 2, domainWrites: 2 };
const PERIOD_MS = 10_000;
const LONG_PERIOD_MS = 60_000;
/** What the requests of one test take at most. */
const TEST_MS = 3000;
let addresses = 0;

/** An address that nobody has asked from yet. */
const newAddress = () => `198.51.100.${++addresses}`;

/** The local runtime counts by the clock's periods: a test must not begin at the end of one. */
beforeEach(async () => {
  const left = (period: number) => period - (Date.now() % period);
  const waitMs =
    left(LONG_PERIOD_MS) < TEST_MS ? left(LONG_PERIOD_MS) : left(PERIOD_MS) < TEST_MS ? left(PERIOD_MS) : 0;
  await new Promise((resolve) => setTimeout(resolve, waitMs));
});

function ask(address: string, path: string, init: RequestInit = {}): Promise<Response> {
  const headers = { ...Object.fromEntries(new Headers(init.headers)), "CF-Connecting-IP": address };
  return SELF.fetch(`${EDGE}${path}`, { redirect: "manual", ...init, headers });
}

async function statusOf(asked: Promise<Response>): Promise<number> {
  const response = await asked;
  response.webSocket?.accept();
  await response.body?.cancel();
  return response.status;
}

async function statusesOf(count: number, send: () => Promise<Response>): Promise<number[]> {
  const statuses: number[] = [];
  for (let i = 0; i < count; i++) statuses.push(await statusOf(send()));
  return statuses;
}

const BUDGETS: [string, number, string, RequestInit, string][] = [
  ["objects", LIMITS.reads, "/obj/example.org/none?version=x", {}, "10"],
  ["names", LIMITS.reads, `/name/${HASH}?domain=example.org`, {}, "10"],
  ["chunks", LIMITS.reads, `/chunk/${HASH}`, {}, "10"],
  ["the relay", LIMITS.reads, `/via/${HASH}/chunk/${HASH}`, {}, "10"],
  [
    "look-ups of chunks",
    LIMITS.lookups,
    "/chunk/locate",
    { method: "POST", body: `{"chunks":["${HASH}"]}` },
    "10",
  ],
  ["complaints", LIMITS.lookups, "/chunk/suspect", { method: "POST", body: "{}" }, "10"],
  ["look-ups of names", LIMITS.lookups, "/name/lookup", { method: "POST", body: "{}" }, "10"],
  ["listings", LIMITS.lookups, "/obj/example.org/folder/", {}, "10"],
  ["names that are not there", LIMITS.lookups, "/obj/example.org/none", {}, "10"],
  ["closest nodes", LIMITS.lookups, `/closest/${HASH}`, {}, "10"],
  ["posts", LIMITS.writes, "/names", { method: "POST", body: "{}" }, "10"],
  ["bundles by the relay", LIMITS.writes, `/via/${HASH}/names`, { method: "POST", body: "{}" }, "10"],
  ["plans", LIMITS.writes, "/chunk/plan", { method: "POST", body: "{}" }, "10"],
  ["registrations", LIMITS.registrations, `/node?id=${HASH}`, { headers: { Upgrade: "websocket" } }, "60"],
];

describe("an address", () => {
  test.each(BUDGETS)(
    "may ask for %s %i times; then it is told to wait, and others are not",
    async (_, limit, path, init, seconds) => {
      const address = newAddress();
      const statuses = await statusesOf(limit, () => ask(address, path, init));
      expect(statuses).not.toContain(429);
      const refused = await ask(address, path, init);
      expect(refused.status).toBe(429);
      expect(Object.fromEntries(refused.headers)).toMatchObject({
        ...{ "retry-after": seconds, "cache-control": "no-store", "access-control-allow-origin": "*" },
        "content-type": "application/problem+json",
      });
      expect(await refused.json()).toMatchObject({ code: "rate-limited", status: 429 });
      expect(await statusOf(ask(newAddress(), path, init))).toBe(statuses[0]);
    },
  );

  test("of IPv6 is a /64", async () => {
    const from = (address: string) => statusOf(ask(address, "/names", { method: "POST", body: "{}" }));
    const statuses = [];
    for (let i = 1; i <= LIMITS.writes + 1; i++) statuses.push(await from(`2001:db8:1:1:${i}::${i}`));
    expect(statuses.at(-1)).toBe(429);
    expect(statuses.slice(0, -1)).not.toContain(429);
    expect(await from("2001:db8:1:2::1")).toBe(400);
  });

  test("that has asked too much of one thing may ask for others, and for that again when its time is over", async () => {
    const address = newAddress();
    const post = () => ask(address, "/names", { method: "POST", body: "{}" });
    expect((await statusesOf(LIMITS.writes + 1, post)).at(-1)).toBe(429);
    expect(await statusOf(ask(address, "/status"))).toBe(200);
    expect(await statusOf(ask(address, `/chunk/${HASH}`))).toBe(404);
    await vi.waitUntil(async () => (await statusOf(post())) === 400, {
      timeout: PERIOD_MS + 2000,
      interval: 500,
    });
  });

  test("causes a few questions to DNS; names that were asked for lately are no question", async () => {
    const address = newAddress();
    const domain = (name: string, from = address) => statusOf(ask(from, `/domain/${name}.example.org`));
    expect(await domain("calm")).toBe(200);
    expect(await domain("calm")).toBe(200);
    expect(await domain("none-1")).toBe(422);
    expect(await domain("none-2")).toBe(429);
    expect(await domain("none-3", newAddress())).toBe(422);
  });
});

describe("a domain", () => {
  async function plan(domain: string, address = newAddress()): Promise<Response> {
    const signer = createStatementSigner(await importSigner(new Uint8Array(32).fill(LIMITED_KEY_FILL)));
    const now = Date.now();
    const grant = await signStatement(
      grantKind,
      {
        ...{ type: grantKind.type, domain: parseDomain(domain), author: "a@example.org", bytes: 1000 },
        session: formatPublicKeyText(signer.key),
        ...{ time: new Date(now).toISOString(), expires: new Date(now + 60_000).toISOString() },
      },
      signer,
    );
    const body = { grant: formatSigned(grant), replicas: 1, chunks: [], avoid: [], receipts: [] };
    return ask(address, "/chunk/plan", { method: "POST", body: JSON.stringify(body) });
  }

  test("may write a few times, from wherever; another is not touched, and nobody spends what is not his", async () => {
    const [busy = "", calm = ""] = LIMITED_DOMAINS;
    // Posts in the domain's name whose signature is not its key's count for nobody but their address.
    for (let i = 0; i < LIMITS.domainWrites + 1; i++) {
      const body = JSON.stringify({ statements: [{ domain: busy }], receipts: [] });
      expect(await statusOf(ask(newAddress(), "/names", { method: "POST", body }))).toBe(400);
    }
    expect(await statusesOf(LIMITS.domainWrites, () => plan(busy))).toEqual([200, 200]);
    const refused = await plan(busy);
    expect([refused.status, refused.headers.get("Retry-After")]).toEqual([429, "60"]);
    expect(await refused.json()).toMatchObject({
      code: "rate-limited",
      detail: expect.stringContaining(busy),
    });
    expect(await statusOf(plan(calm))).toBe(200);
  });
});

test.each([
  ["GET", "/", null],
  ["GET", "/web/page.js", null],
  ["GET", "/obj/a.org/b", "reads"],
  ["HEAD", "/obj/a.org/b/", "lookups"],
  ["PUT", `/via/${HASH}/chunk/${HASH}`, "reads"],
  ["POST", "/operator/denials", "writes"],
  ["POST", "/peer/names", "writes"],
  ["GET", `/peer/name/${HASH}`, "lookups"],
])("%s %s counts as %s", (method, path, budget) => expect(budgetOf(method, path)).toBe(budget));
