// The volunteer's page in a real browser: that it looks as it is meant to, and that another site's page in the same
// browser cannot look at it.

import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import { statusOfNode, tellNode } from "../../cli/node-control.ts";
import { parseDomain } from "../../lib/names.ts";
import { type Browser, startBrowser, type Tab } from "../e2e/page-browser.ts";
import { requirePrograms } from "../e2e/requires.ts";
import { closeAll, serve } from "./client-fixture.ts";
import {
  Cleanup,
  chunkOf,
  createPublisher,
  DOMAIN,
  putChunk,
  startTestNode,
  TestDns,
  type TestNode,
} from "./home-node-fixture.ts";

const { missing } = requirePrograms({ chromium: "chromium" });
const SEEN_BY_STRANGERS = [
  ...["chunks", "contacts", "freeBytes", "id", "key", "kind", "onlineSince", "software"],
  ...["url", "usedBytes", "versions"],
];
const BACKGROUND = "getComputedStyle(document.body).backgroundColor";

describe.skipIf(missing.length > 0)("the volunteer's page", () => {
  const cleanup = new Cleanup();
  let browser: Browser;
  let node: TestNode;
  let url: string;

  beforeAll(async () => {
    const dns = await TestDns.start(cleanup);
    const domains = [DOMAIN, parseDomain(`${"long".repeat(15)}.example.net`)];
    node = await startTestNode(cleanup, dns, { pledge: { bytes: 1_000_000, domains } });
    await putChunk(node, await createPublisher(node), chunkOf(1));
    ({ url } = node);
    browser = await startBrowser();
  });

  afterAll(async () => {
    await browser.stop();
    await closeAll();
    await cleanup.run();
  });

  async function openPage(width: number, scheme: "light" | "dark"): Promise<Tab> {
    const tab = await browser.open(width, 900);
    const features = [{ name: "prefers-color-scheme", value: scheme }];
    await tab.send("Emulation.setEmulatedMedia", { features });
    await tab.goto(`${url}/`);
    return tab;
  }

  test("is styled, in light and in dark, and complains of nothing", async () => {
    for (const [scheme, colour] of [
      ["light", "rgb(255, 255, 255)"],
      ["dark", "rgb(18, 23, 25)"],
    ] as const) {
      const tab = await openPage(900, scheme);
      expect(await tab.text("main")).toMatch(/Space[\s\S]*1 B of 977 KiB pledged are used/);
      expect(await tab.evaluate(BACKGROUND)).toBe(colour);
      expect(await tab.cspViolations()).toEqual([]);
      expect(tab.consoleErrors).toEqual([]);
    }
  });

  test.each([320, 400])("is not wider than a phone of %i pixels", async (width) => {
    const tab = await openPage(width, "light");
    expect(await tab.evaluate("document.documentElement.scrollWidth")).toBe(width);
  });

  test("says what its volunteer means to do, and what keeps the node from it", async () => {
    const until = "2026-03-09T12:00:00.000Z";
    await tellNode(node.dir, "/pause", { until });
    await tellNode(node.dir, "/leave", { leaving: true });
    await vi.waitFor(async () => expect((await statusOfNode(node.dir)).leaving?.problem).not.toBeNull());
    const words = await (await openPage(900, "light")).text("header");
    expect(words).toMatch(/away\s+until 2026-03-09 12:00.*: it takes nothing new/);
    expect(words).toMatch(/leaving\s+since .*: no edge is set/);
    await tellNode(node.dir, "/leave", { leaving: false });
    await tellNode(node.dir, "/pause", { until: null });
    expect(await (await openPage(900, "light")).text("header")).not.toMatch(/away|leaving/);
  });

  test("cannot be looked at by another site's page", async () => {
    const site = await serve((_, response) => {
      response.writeHead(200, { "content-type": "text/html" });
      response.end("<!doctype html><title>elsewhere</title>");
    });
    const { port } = new URL(url);
    // From another site, and from another port of the same one.
    for (const origin of [site.url.replace("127.0.0.1", "localhost"), site.url]) {
      const tab = await browser.open(900, 900);
      await tab.goto(origin);
      const read = `fetch("http://127.0.0.1:${port}/status").then((answer) => answer.json())`;
      expect(await tab.evaluate(`${read}.then((status) => Object.keys(status).sort())`)).toEqual(
        SEEN_BY_STRANGERS,
      );
      const page = `fetch("http://127.0.0.1:${port}/").then((answer) => answer.status)`;
      expect(await tab.evaluate(page)).toBe(404);
    }
  });
});
