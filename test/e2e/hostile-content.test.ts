// Content that attacks the origin it is served from, published with the real command and opened in a real browser: as a
// window that a page of the edge's own opens, as a frame of another site, and as a service worker. The same bytes at a
// plain server are the control: there most of them run.

import { createHash } from "node:crypto";
import { afterAll, beforeAll, describe, expect, inject, test } from "vitest";
import { Canary, type Sign } from "./canary.ts";
import { hostilePayloads, type Payload } from "./hostile-payloads.ts";
import { type Browser, startBrowser, type Tab } from "./page-browser.ts";
import { publishTree, writeFolder } from "./publish-tree.ts";
import { Publisher } from "./publisher.ts";
import { requirePrograms } from "./requires.ts";

const network = inject("network");
const { missing } = requirePrograms({ chromium: "chromium" });
/** Long enough for a window to load and for what is in it to run. */
const QUIET_MS = 2000;
const WINDOWS_AT_ONCE = 14;
const PUBLISHED_AT_ONCE = 3;
const FOLDER = "hostile";

/** What the payloads could do, each with how many could. */
function tally(signs: Sign[]): Record<string, number> {
  const found = new Map<string, Set<string>>();
  for (const { what, payload } of signs) found.set(what, (found.get(what) ?? new Set()).add(payload));
  return Object.fromEntries([...found].map(([what, payloads]) => [what, payloads.size]));
}

describe.skipIf(missing.length > 0)("hostile content", () => {
  const canary = new Canary();
  let payloads: Payload[];
  let publisher: Publisher;
  let browser: Browser;
  let tab: Tab;

  beforeAll(async () => {
    await canary.start();
    payloads = hostilePayloads(canary.url);
    publisher = await Publisher.create(network);
    await publishAll();
    await serveAll();
    browser = await startBrowser();
    tab = await browser.open(800, 600);
  }, 300_000);

  afterAll(async () => {
    await browser.stop();
    await canary.stop();
  });

  async function publishAll(): Promise<void> {
    const named = payloads.filter(({ type }) => type === undefined);
    const files = Object.fromEntries(named.map(({ path, body }) => [path, body]));
    await publishTree(publisher, await writeFolder(publisher, files), FOLDER);
    const typed = payloads.filter(({ type }) => type !== undefined);
    const worker = async () => {
      for (let next = typed.pop(); next !== undefined; next = typed.pop()) await publishAs(next);
    };
    await Promise.all(Array.from({ length: PUBLISHED_AT_ONCE }, worker));
  }

  async function publishAs({ path, type = "", body }: Payload): Promise<void> {
    const file = await publisher.writeFile(path, body);
    const { code, stderr } = await publisher.publish(file, `${FOLDER}/${path}`, "--content-type", type);
    expect([path, code, stderr]).toEqual([path, 0, expect.any(String)]);
  }

  /** The plain server sends the same types; a page of its own is where windows are opened from. */
  async function serveAll(): Promise<void> {
    for (const { path, body } of payloads) {
      const answer = await fetch(at(path), { method: "HEAD" });
      expect(answer.status, path).toBe(200);
      canary.serve(`/${FOLDER}/${path}`, answer.headers.get("content-type") ?? "", body);
    }
    canary.serve("/", "text/html", "<title>plain</title>");
    canary.serve("/status", "application/json", "{}");
  }

  const at = (path: string) => publisher.objectUrl(`${FOLDER}/${path}`);
  const plainAt = (path: string) => `${canary.plainUrl}/${FOLDER}/${path}`;
  const quiet = () => new Promise((resolve) => setTimeout(resolve, QUIET_MS));

  /** Opens each payload in a window of the page at `opener`; gives what they told. */
  async function openAll(opener: string, locate: (path: string) => string): Promise<Sign[]> {
    canary.take();
    await tab.goto(opener);
    for (let i = 0; i < payloads.length; i += WINDOWS_AT_ONCE) {
      for (const { path } of payloads.slice(i, i + WINDOWS_AT_ONCE)) {
        const expression = `window.open(${JSON.stringify(`${locate(path)}?from=${path}`)}, "_blank")`;
        await tab.send("Runtime.evaluate", { expression, userGesture: true });
      }
      await quiet();
      await browser.closeOthers(tab);
    }
    return canary.take();
  }

  /** Opens each payload in a frame of another site; gives what they told. */
  async function frameAll(locate: (path: string) => string): Promise<Sign[]> {
    canary.take();
    await tab.goto(canary.url);
    for (let i = 0; i < payloads.length; i += WINDOWS_AT_ONCE) {
      const urls = payloads.slice(i, i + WINDOWS_AT_ONCE).map(({ path }) => `${locate(path)}?from=${path}`);
      await tab.evaluate(
        `document.body.replaceChildren(...${JSON.stringify(urls)}.map((src) => Object.assign(document.createElement("iframe"), { src }))), true`,
      );
      await quiet();
    }
    return canary.take();
  }

  const hashOf = ({ body }: Payload) => createHash("sha256").update(body).digest("hex");
  /** Cookies have a host and no port: the edge is at another host than what it is compared with. */
  async function cookiesOf({ hostname }: URL): Promise<number> {
    const { cookies } = (await tab.send("Network.getAllCookies")) as { cookies: { domain: string }[] };
    return cookies.filter(({ domain }) => domain === hostname).length;
  }

  /** The expression's value in a page of the edge's own. */
  async function inEdgePage(expression: string): Promise<unknown> {
    await tab.goto(`${network.edgeUrl}/`);
    return tab.evaluate(expression);
  }

  test("runs at a plain server: the control", async () => {
    const windows = tally(await openAll(`${canary.plainUrl}/`, plainAt));
    const frames = tally(await frameAll(plainAt));
    report("a plain server", windows, frames);
    for (const what of ["script", "cookie", "storage", "fetch", "service-worker"]) {
      expect([what, windows[what]], what).toEqual([what, expect.toSatisfy((count) => count >= 20)]);
      expect([what, frames[what]], what).toEqual([what, expect.toSatisfy((count) => count >= 20)]);
    }
    expect(windows.opener).toBeGreaterThanOrEqual(20);
    expect(windows.went).toBe(1);
  }, 300_000);

  test("runs nowhere at the edge, in windows of the edge's page and in frames elsewhere", async () => {
    const windows = await openAll(`${network.edgeUrl}/`, at);
    const frames = await frameAll(at);
    report("the edge", tally(windows), tally(frames));
    expect([windows, frames]).toEqual([[], []]);
  }, 300_000);

  test("runs nowhere as chunks, at the edge and at home nodes", async () => {
    const hashes = new Map(payloads.map((payload) => [payload.path, hashOf(payload)]));
    const locate = (path: string) => `${network.edgeUrl}/chunk/${hashes.get(path)}`;
    expect((await fetch(locate("inline.html"))).status).toBe(200);
    const windows = await openAll(`${network.edgeUrl}/`, locate);
    report("/chunk", tally(windows), {});
    expect(windows).toEqual([]);
  }, 300_000);

  test("leaves nothing behind at the edge's origin", async () => {
    expect(await inEdgePage("localStorage.length + sessionStorage.length")).toBe(0);
    expect(await cookiesOf(new URL(network.edgeUrl))).toBe(0);
    expect(await cookiesOf(new URL(canary.plainUrl))).toBeGreaterThan(0);
    const workers = "navigator.serviceWorker.getRegistrations().then(({ length }) => length)";
    expect(await inEdgePage(workers)).toBe(0);
    await tab.goto(plainAt("import.css"));
    expect(await tab.evaluate(workers)).toBeGreaterThan(0);
  });

  test.each(["worker.js", "module.mjs"])(
    "is no service worker, even for the edge's own page: %s",
    async (path) => {
      const register = (url: string) =>
        `navigator.serviceWorker.register("${url}", { type: "module" }).then(() => "registered", (error) => error.message)`;
      expect(await inEdgePage(register(at(path)))).toContain("A bad HTTP response code (403)");
      await tab.goto(`${canary.plainUrl}/`);
      expect(await tab.evaluate(register(plainAt(path)))).toBe("registered");
    },
  );

  test("is refused to whoever fetches a service worker's script, wherever it lies", async () => {
    const worker = payloads.find(({ path }) => path === "worker.js");
    const hash = worker === undefined ? "" : hashOf(worker);
    const nodes = network.nodeUrls.map((url) => `${url}/chunk/${hash}`);
    for (const url of [
      at("worker.js"),
      `${network.edgeUrl}/web/page.js`,
      `${network.edgeUrl}/chunk/${hash}`,
      ...nodes,
    ]) {
      const refused = await fetch(url, { headers: { "Service-Worker": "script" } });
      expect([url, refused.status, await refused.json()]).toEqual([
        url,
        403,
        expect.objectContaining({ code: "service-worker-refused" }),
      ]);
      expect(refused.headers.get("content-security-policy")).toBe("default-src 'none'; sandbox");
    }
    const found = await Promise.all(nodes.map(async (url) => (await fetch(url)).status));
    expect(found).toContain(200);
    expect((await fetch(at("worker.js"))).status).toBe(200);
  });

  test("is shown where sites need it, and else saved", async () => {
    const disposition = async (path: string) => (await fetch(at(path))).headers.get("content-disposition");
    const shown = ["inline.html", "page.xhtml", "script.svg", "picture.gif", "open-action.pdf", "import.css"];
    const saved = ["page.xml", "style.xsl", "feed.rss", "archive.mhtml", "page-any-xml", "no-extension"];
    expect(await Promise.all(shown.map(disposition))).toEqual(shown.map(() => null));
    expect(await Promise.all(saved.map(disposition))).toEqual(saved.map(() => "attachment"));
  });

  test("has no handle on the edge's page, nor has any other site", async () => {
    const openIn = async (url: string) => {
      await tab.goto(canary.url);
      const expression = `globalThis.opened = window.open("${url}", "_blank"), true`;
      await tab.send("Runtime.evaluate", { expression, userGesture: true });
      await quiet();
      const isCut = await tab.evaluate("opened.closed");
      await browser.closeOthers(tab);
      return isCut;
    };
    expect(await openIn(`${network.edgeUrl}/`)).toBe(true);
    expect(await openIn(`${canary.plainUrl}/`)).toBe(false);
  });

  function report(where: string, windows: Record<string, number>, frames: Record<string, number>): void {
    const told = `windows ${JSON.stringify(windows)}, frames ${JSON.stringify(frames)}`;
    console.log(`${payloads.length} payloads at ${where}: what they could do, and how many: ${told}`);
  }
});
