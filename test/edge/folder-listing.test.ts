// GET /obj/<domain>/<folder>/: the listing that the edge makes from the index of a published tree, over a holder in memory.

import { SELF } from "cloudflare:test";
import { beforeAll, describe, expect, test } from "vitest";
import { type FolderListing, LISTING_TYPE } from "../../lib/folder-listing.ts";
import { hashBytes } from "../../lib/hash.ts";
import { parseDomain, parseName } from "../../lib/names.ts";
import { indexNameOf, type TreeEntry } from "../../lib/tree-index.ts";
import { REFERRAL_TYPE } from "../../lib/wire/chunks.ts";
import { LISTED_ROWS_MAX } from "../../workers/listing-page.ts";
import { FOLDERS_ABOVE_MAX, LISTED_INDEX_BYTES_MAX } from "../../workers/tree-finder.ts";
import { EDGE } from "./test-node.ts";
import { TestHolder } from "./test-objects.ts";

const encoder = new TextEncoder();
const bytesOf = (text: string) => new Uint8Array(encoder.encode(text));
const HOSTILE = `<script>boom()<img src=x onerror=boom()>"'&`;
let holder: TestHolder;
let domains = 0;

/** A domain that no other test has seen. */
const newDomain = () => parseDomain(`d${++domains}.example.org`);

function entry(name: string, size = 5): TreeEntry {
  const hash = hashBytes(bytesOf(name));
  return { name: parseName(name), size, version: hash, manifest: hash };
}

function get(path: string, headers: Record<string, string> = {}, method = "GET"): Promise<Response> {
  return SELF.fetch(`${EDGE}/obj/${path}`, { method, headers, redirect: "manual" });
}

async function listingOf(path: string): Promise<FolderListing> {
  const response = await get(path, { accept: "application/json" });
  expect(response.status).toBe(200);
  return response.json();
}

async function problemOf(response: Response): Promise<{ status: number; code: string; detail: string }> {
  expect(response.headers.get("content-type")).toBe("application/problem+json");
  return response.json();
}

beforeAll(async () => {
  holder = await TestHolder.create();
});

describe("a listing", () => {
  const domain = newDomain();
  const root = { domain, prefix: parseName("rel") };
  const entries = [entry("a b/ä#?.iso", 2048), entry("a b/deep/x", 1), entry("z", 3), entry(HOSTILE)];
  let version: string;

  beforeAll(async () => {
    version = await holder.publishIndex(root, entries);
  });

  test("as JSON has the files and folders, and says of which Version of the index it is", async () => {
    const response = await get(`${domain}/rel/`, { accept: "application/json" });
    expect(Object.fromEntries(response.headers)).toMatchObject({
      ...{ "content-type": "application/json", "cache-control": "no-cache", vary: "Accept" },
      ...{ "x-content-type-options": "nosniff", "holdfast-version": version },
      "content-security-policy": "default-src 'none'; sandbox",
    });
    const { name: _, ...z } = entry("z", 3);
    expect(await response.json()).toMatchObject({
      ...{ domain, folder: "rel" },
      index: { tree: `${domain}/rel`, name: "rel/.holdfast-index", version, author: "a@example.org" },
      files: [{ size: 5 }, { name: "z", ...z }],
      folders: [{ name: "a b", files: 2, size: 2049 }],
      total: { files: 4, size: 2057 },
    });
  });

  test("of a folder below the root is made from the same index", async () => {
    expect(await listingOf(`${domain}/rel/a%20b/`)).toMatchObject({
      ...{ folder: "rel/a b", index: { tree: `${domain}/rel`, version } },
      files: [{ name: "ä#?.iso", size: 2048 }],
      folders: [{ name: "deep", files: 1 }],
    });
  });

  test("as a page has links that lead where they say, up and down", async () => {
    const path = `${domain}/rel/a%20b/`;
    const page = await (await get(path)).text();
    const hrefs = [...page.matchAll(/href="([^"]*)"/g)].map(([, href = ""]) => href);
    const urls = hrefs.map((href) => new URL(href, `${EDGE}/obj/${path}`));
    const paths = urls.map(({ pathname, search, hash }) => pathname + search + hash);
    const pinned = `?version=${entry("a b/ä#?.iso").version}`;
    expect(paths).toEqual([
      `/obj/${domain}/rel/`,
      `/obj/${domain}/rel/`,
      `/obj/${domain}/rel/a%20b/deep/`,
      `/obj/${domain}/rel/a%20b/%C3%A4%23%3F.iso`,
      `/obj/${domain}/rel/a%20b/%C3%A4%23%3F.iso${pinned}`,
      `/version/${version}`,
      `/#/${domain}/rel/a%20b/`,
    ]);
    expect(page).toContain("2.0 KiB");
    expect(page).toContain(`holdfast ls &#39;${domain}/rel/a b&#39;`);
  });

  test("escapes names, and allows no script", async () => {
    const response = await get(`${domain}/rel/`, { accept: "text/html" });
    const page = await response.text();
    expect(page).toContain("&lt;script&gt;boom()&lt;img src=x onerror=boom()&gt;&quot;&#39;&amp;");
    expect(page).not.toMatch(/<script|<img/);
    const policy = response.headers.get("content-security-policy") ?? "";
    expect(policy).toMatch(
      /^default-src 'none'; style-src 'sha256-[\w+/]{43}='; base-uri 'none'; form-action 'none';/,
    );
    expect(policy).toMatch(/sandbox(?!.*allow-(scripts|same-origin|forms))/);
    const style = /<style>(.*?)<\/style>/s.exec(page)?.[1] ?? "";
    const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", encoder.encode(style)));
    expect(policy).toContain(`'sha256-${btoa(String.fromCharCode(...digest))}'`);
    expect(Object.fromEntries(response.headers)).toMatchObject({
      ...{ "content-type": "text/html; charset=utf-8", "x-content-type-options": "nosniff" },
      ...{ "cache-control": "no-cache", "last-modified": "Thu, 01 Jan 2026 00:00:00 GMT" },
    });
  });

  test("links no folder above the tree's root", async () => {
    expect(await (await get(`${domain}/rel/`)).text()).not.toContain('href="../');
  });

  test("is answered with 304 to whoever has it, and each form has a tag of its own", async () => {
    const tags = new Set<string>();
    for (const accept of ["text/html", "application/json", LISTING_TYPE]) {
      for (const folder of ["rel/", "rel/a%20b/"]) {
        const etag = (await get(`${domain}/${folder}`, { accept }, "HEAD")).headers.get("etag") ?? "";
        const again = await get(`${domain}/${folder}`, { accept, "if-none-match": `"x", W/${etag}` });
        expect([again.status, again.headers.get("etag"), await again.text()]).toEqual([304, etag, ""]);
        tags.add(etag);
      }
    }
    expect(tags.size).toBe(6);
  });

  test.each([
    ["If-None-Match of another", { "if-none-match": '"x"' }, 200],
    ["If-None-Match of any", { "if-none-match": "*" }, 304],
    ["a later date", { "if-modified-since": "Fri, 02 Jan 2026 00:00:00 GMT" }, 304],
    ["an earlier date", { "if-modified-since": "Wed, 31 Dec 2025 00:00:00 GMT" }, 200],
    ["If-Match of another", { "if-match": '"x"' }, 412],
    ["a range, which it does not have", { range: "bytes=0-3" }, 200],
  ])("under %s", async (_, headers, status) => {
    expect((await get(`${domain}/rel/`, headers)).status).toBe(status);
  });

  test("is described by HEAD without a body", async () => {
    const [head, whole] = [await get(`${domain}/rel/`, {}, "HEAD"), await get(`${domain}/rel/`)];
    expect([head.status, await head.text()]).toEqual([200, ""]);
    expect(head.headers.get("etag")).toBe(whole.headers.get("etag"));
    await whole.body?.cancel();
  });

  test("of what the tree does not have is 404, also without the slash", async () => {
    for (const path of ["rel/none/", "rel/z/", "rel/none", "other/", "rel/a/"])
      expect((await problemOf(await get(`${domain}/${path}`))).code).toBe("not-found");
  });

  test("is no object: it has neither a referral nor Versions", async () => {
    expect((await get(`${domain}/rel/`, { accept: REFERRAL_TYPE })).status).toBe(404);
    expect((await get(`${domain}/rel/?version=${version}`)).status).toBe(404);
    expect((await get(`${domain}/rel/`, {}, "POST")).status).toBe(405);
  });

  test("asked for without the slash is a failure to programs, and browsers are sent on", async () => {
    const problem = await problemOf(await get(`${domain}/rel/a%20b`));
    expect(problem).toMatchObject({ status: 404, code: "not-found" });
    expect(problem.detail).toContain(`ask for ${domain}/rel/a b/ with the slash`);
    const sent = await get(`${domain}/rel/a%20b`, { "sec-fetch-mode": "navigate" });
    expect([sent.status, sent.headers.get("location")]).toEqual([307, `/obj/${domain}/rel/a%20b/`]);
    expect(sent.headers.get("cache-control")).toBe("no-store");
    expect((await get(`${domain}/rel/z`, { "sec-fetch-mode": "navigate" })).status).toBe(404);
  });

  test("of a tree that was walked through already costs its holders nothing", async () => {
    await listingOf(`${domain}/rel/`);
    const before = holder.reads;
    await listingOf(`${domain}/rel/a%20b/`);
    await listingOf(`${domain}/rel/a%20b/deep/`);
    expect(holder.reads).toBe(before);
  });
});

describe("which tree a folder is listed from", () => {
  test("a whole domain's, where its index says so", async () => {
    const domain = newDomain();
    await holder.publishIndex({ domain, prefix: null }, [entry("a/b"), entry("c")]);
    const { folder, index, files, folders } = await listingOf(`${domain}/`);
    expect([folder, index.tree, files.length, folders.length]).toEqual([null, domain, 1, 1]);
    const page = await (await get(`${domain}/`)).text();
    expect(page).toContain(`holdfast get -r ${domain}\n`.trimEnd());
    expect(page).not.toContain('href="../');
    expect(await (await get(`${domain}/a/`)).text()).toContain('href="../"');
  });

  test("the innermost that has it", async () => {
    const domain = newDomain();
    await holder.publishIndex({ domain, prefix: null }, [entry("a/b/outer"), entry("a/c/outer")]);
    await holder.publishIndex({ domain, prefix: parseName("a") }, [entry("b/inner")]);
    expect((await listingOf(`${domain}/a/b/`)).files).toMatchObject([{ name: "inner" }]);
    expect((await listingOf(`${domain}/a/c/`)).files).toMatchObject([{ name: "outer" }]);
    expect((await listingOf(`${domain}/a/`)).index.tree).toBe(`${domain}/a`);
  });

  test("is told with the trees around it, whose roots are linked and are part of the tag", async () => {
    const domain = newDomain();
    await holder.publishIndex({ domain, prefix: parseName("a/b/c") }, [entry("x")]);
    const before = (await get(`${domain}/a/b/c/`)).headers.get("etag") ?? "";
    await holder.publishIndex({ domain, prefix: parseName("a/b") }, [entry("y")]);
    await holder.publishIndex({ domain, prefix: null }, [], { time: "2026-01-03T00:00:00.000Z" });
    const after = await get(`${domain}/a/b/c/`, { "if-none-match": before });
    expect([after.status, after.headers.get("last-modified")]).toEqual([
      200,
      "Sat, 03 Jan 2026 00:00:00 GMT",
    ]);
    const hrefs = [...(await after.text()).matchAll(/href="(\.\.[^"]*)"/g)].map(([, href]) => href);
    expect(hrefs).toEqual(["../../../", "../", "../"]);
    expect((await listingOf(`${domain}/a/b/c/`)).trees).toEqual([`${domain}/a/b/c`, `${domain}/a/b`, domain]);
    expect(await (await get(`${domain}/`)).text()).toContain("This folder is empty");
  });

  test("one at most so many folders above, with the newest Version of its index", async () => {
    const domain = newDomain();
    const path = Array(FOLDERS_ABOVE_MAX).fill("f").join("/");
    const root = { domain, prefix: null };
    const first = await holder.publishIndex(root, [entry("old")]);
    await holder.publishIndex(root, [entry(`${path}/x`), entry(`${path}/f/x`)], {
      previous: { id: first, sequence: 1 },
    });
    expect((await listingOf(`${domain}/${path}/`)).files).toMatchObject([{ name: "x" }]);
    expect((await get(`${domain}/${path}/f/`)).status).toBe(404);
    expect((await get(`${domain}/old/`)).status).toBe(404);
  });

  test("none, for a path too long for an index's name", async () => {
    const response = await get(`${newDomain()}/${"x".repeat(1010)}/`);
    expect(await problemOf(response)).toMatchObject({ status: 404, code: "not-found" });
  });

  test("none by an index that does not say its name", async () => {
    const domain = newDomain();
    await holder.publishIndex({ domain, prefix: null }, [entry("a")], { isNamed: false });
    expect((await get(`${domain}/`)).status).toBe(404);
  });
});

describe("a folder's own page", () => {
  test("wins, unless the listing is asked for by its own type", async () => {
    const domain = newDomain();
    await holder.publishIndex({ domain, prefix: null }, [entry("a/index.html"), entry("index.html")]);
    for (const path of ["", "a/"]) {
      const name = parseName(`${path}index.html`);
      const bytes = bytesOf(`the page of ${path}`);
      await holder.publish({ domain, name, contentType: "text/html", bytes });
      for (const accept of ["text/html", "application/json, text/plain, */*"]) {
        const response = await get(`${domain}/${path}`, { accept });
        expect([response.status, await response.text()]).toEqual([200, `the page of ${path}`]);
      }
      const listing = await get(`${domain}/${path}`, { accept: LISTING_TYPE });
      expect(listing.headers.get("content-type")).toBe(LISTING_TYPE);
      expect(await listing.json()).toMatchObject({ domain, files: [{ name: "index.html" }] });
    }
  });
});

describe("an index that is refused", () => {
  test.each([
    ["no JSON", () => bytesOf("{")],
    ["no bytes", () => bytesOf("")],
    ["an object of something else", () => bytesOf('{"type":"x"}')],
    [
      "a later format",
      () => bytesOf('{"domain":"example.org","entries":[],"prefix":null,"type":"holdfast-index-2"}'),
    ],
  ])("because it is %s, is a clear error and hides what lies behind it", async (_, content) => {
    const domain = newDomain();
    const inner = parseName("a");
    await holder.publishIndex({ domain, prefix: null }, [entry("a/x")]);
    await holder.publish({ domain, name: indexNameOf({ domain, prefix: inner }), bytes: content() });
    const problem = await problemOf(await get(`${domain}/a/`));
    expect(problem).toMatchObject({ status: 422, code: "invalid-index" });
    expect(problem.detail).toContain(`the index of ${domain}/a`);
    expect((await get(`${domain}/a`)).status).toBe(404);
    expect((await get(`${domain}/`)).status).toBe(200);
  });

  test("because it is that of another tree", async () => {
    const [domain, other] = [newDomain(), newDomain()];
    const index = { domain: other, prefix: parseName("a") };
    await holder.publishIndex(index, [entry("x")]);
    expect((await get(`${other}/a/`)).status).toBe(200);
    await holder.publishIndex(index, [entry("x")], { domain });
    expect(await problemOf(await get(`${domain}/a/`))).toMatchObject({ code: "invalid-index" });
    await holder.publishIndex(index, [entry("x")], { domain: other, name: parseName("b/.holdfast-index") });
    expect(await problemOf(await get(`${other}/b/`))).toMatchObject({ code: "invalid-index" });
  });

  test("because it has expired, whoever has the listing already", async () => {
    const domain = newDomain();
    const root = { domain, prefix: parseName("a") };
    await holder.publishIndex({ domain, prefix: null }, [entry("a/x")]);
    await holder.publishIndex(root, [entry("x")], {
      ...{ time: "2026-01-01T00:00:00.000Z", expires: "2026-01-01T00:00:01.000Z" },
    });
    expect(await problemOf(await get(`${domain}/a/`))).toMatchObject({
      ...{ status: 422, code: "statement-expired" },
    });
    expect((await get(`${domain}/a/`, { "if-none-match": '"x"' })).status).toBe(422);
  });

  test("because no holder gives it", async () => {
    const domain = newDomain();
    const gone = await TestHolder.create();
    await gone.publishIndex({ domain, prefix: null }, [entry("only-here")]);
    gone.forget();
    expect(await problemOf(await get(`${domain}/`))).toMatchObject({ status: 503, code: "no-holder" });
  });
});

describe("a large index", () => {
  const many = (count: number, prefix: string) =>
    Array.from({ length: count }, (_, i) => entry(`${prefix}${i}`));

  test("of several chunks is listed, and a page of it is bounded", async () => {
    const domain = newDomain();
    await holder.publishIndex({ domain, prefix: null }, many(LISTED_ROWS_MAX + 7, "file "));
    expect((await listingOf(`${domain}/`)).total.files).toBe(LISTED_ROWS_MAX + 7);
    const page = await (await get(`${domain}/`)).text();
    expect(page.match(/<tr>/g)).toHaveLength(LISTED_ROWS_MAX + 1);
    expect(page).toContain("And 7 more");
  });

  test("past the limit is left to the client, and so are several that are too large together", async () => {
    const domain = newDomain();
    const half = many(Math.ceil(LISTED_INDEX_BYTES_MAX / 2 / 170), "x".repeat(10));
    await holder.publishIndex({ domain, prefix: null }, half);
    await holder.publishIndex({ domain, prefix: parseName("a") }, half);
    expect((await get(`${domain}/`)).status).toBe(200);
    expect((await get(`${domain}/a/`)).status).toBe(200);
    const together = await problemOf(await get(`${domain}/a/none/`));
    expect(together).toMatchObject({ status: 406, code: "use-client" });
    const bytes = new Uint8Array(LISTED_INDEX_BYTES_MAX + 1);
    await holder.publish({ domain, name: parseName("b/.holdfast-index"), bytes });
    const before = holder.reads;
    const alone = await problemOf(await get(`${domain}/b/c/`));
    expect(alone).toMatchObject({ status: 406, code: "use-client" });
    expect(alone.detail).toContain(`holdfast ls ${domain}/b/c`);
    expect(holder.reads).toBe(before);
  });
});
