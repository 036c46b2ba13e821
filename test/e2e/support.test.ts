// A domain that lives on its supporters, with real nodes: its quota follows what they pledge, and its page, the command
// and the edge thank them by the names that they chose.

import { randomBytes } from "node:crypto";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import { Child } from "../../cli/local/child.ts";
import { type LocalNetwork, SAMPLE_DOMAIN } from "../../cli/local/network.ts";
import { type DomainSupport, parseDomainSupport } from "../../lib/wire/status.ts";
import { startBrowser } from "./page-browser.ts";
import { holdfast, Publisher } from "./publisher.ts";
import { requirePrograms } from "./requires.ts";
import { endNetwork, sharedView, startNetwork } from "./setup.ts";

const { missing } = requirePrograms({ chromium: "chromium" });
const NODES = 3;
const PLEDGE_BYTES = 3_000_000;
/** Markup, to be shown as it is. */
const NAME = "Ada's <b>attic</b>";
const LONG_NAME = "the attic above the library in the old town";

describe("a domain whose quota follows pledges", () => {
  let network: LocalNetwork;
  let publisher: Publisher;
  const nodes: Child[] = [];

  beforeAll(async () => {
    network = await startNetwork(NODES, 0, { DOMAIN_QUOTAS: `${SAMPLE_DOMAIN}=pledged` });
    publisher = await Publisher.create(sharedView(network));
  });
  afterAll(async () => {
    await Promise.all(nodes.map((node) => node.stop()));
    await endNetwork(network);
  });

  async function addNode(name: string, ...options: string[]): Promise<void> {
    const node = new Child({
      name,
      command: process.execPath,
      args: [
        ...[join(import.meta.dirname, "../../cli/main.ts"), "node", "run", "--no-listen"],
        ...["--dir", join(network.dir, "nodes", name), "--edge", network.edgeUrl, "--doh", network.dohUrl],
        ...options,
      ],
      logFile: join(network.dir, "logs", `${name}.log`),
    });
    node.start();
    nodes.push(node);
    await network.waitForNodes(NODES + nodes.length);
  }

  async function publish(name: string, bytes: number) {
    const file = await publisher.writeFile(name, randomBytes(bytes));
    const signed = ["--key", network.sampleKeyFile, "--author", "a@example.test"];
    return holdfast(network, ["publish", file, `${SAMPLE_DOMAIN}/${name}`, ...signed]);
  }

  async function support(): Promise<DomainSupport> {
    const response = await fetch(`${network.edgeUrl}/domain/${SAMPLE_DOMAIN}`);
    return parseDomainSupport(await response.json());
  }

  test("publishes nothing before a node lists it, then a third of what is pledged, and more with the next node", async () => {
    const refused = await publish("first", 800_000);
    expect(refused.code).not.toBe(0);
    expect(refused.stderr).toContain("quota-exceeded");
    await addNode("ada", "--domains", SAMPLE_DOMAIN, "--name", NAME, "--pledge", String(PLEDGE_BYTES));
    expect((await support()).usage).toMatchObject({ quotaBytes: PLEDGE_BYTES / 3, supporters: 1 });
    expect(await publish("first", 800_000)).toMatchObject({ code: 0 });
    expect((await publish("second", 800_000)).stderr).toContain("quota-exceeded");
    // Its pledge is for two domains, so half of it is for this one.
    const domains = `${SAMPLE_DOMAIN},example.org`;
    await addNode("bob", "--domains", domains, "--name", LONG_NAME, "--pledge", String(2 * PLEDGE_BYTES));
    expect(await publish("second", 800_000)).toMatchObject({ code: 0 });
    const { usage } = await support();
    expect(usage).toMatchObject({
      quotaBytes: (2 * PLEDGE_BYTES) / 3,
      pledgedBytes: 2 * PLEDGE_BYTES,
      supporters: 2,
    });
  });

  test("thanks those who keep it: the edge, the command in 80 columns, and the page", async () => {
    await vi.waitUntil(
      async () => {
        const { supporters, usage } = await support();
        const kept = supporters.reduce((sum, { chunks }) => sum + chunks, 0);
        return kept === usage.chunks * 3;
      },
      { timeout: 30_000, interval: 500 },
    );
    const { supporters } = await support();
    expect(supporters.flatMap(({ name }) => name ?? []).toSorted()).toEqual([NAME, LONG_NAME].toSorted());
    expect(supporters.some(({ name, chunks }) => name === null && chunks > 0)).toBe(true);

    const shown = await holdfast(network, ["domain", "show", SAMPLE_DOMAIN]);
    expect(shown).toMatchObject({ code: 0, stderr: "" });
    const [, onEdge = ""] = shown.stdout.split(/^(?=on )/m);
    expect(onEdge).toContain(`on       ${network.edgeUrl} (this edge's word)`);
    expect(onEdge).toContain(NAME);
    expect(onEdge).toContain("a volunteer");
    expect(Math.max(...onEdge.split("\n").map((line) => line.length))).toBeLessThanOrEqual(80);
    const asJson = await holdfast(network, ["domain", "show", SAMPLE_DOMAIN, "--json"]);
    expect(JSON.parse(asJson.stdout)).toMatchObject({
      onEdge: { url: network.edgeUrl, usage: { supporters: 2 } },
    });
  });

  test("shows its keys, and says that the edge does not answer, where it does not", async () => {
    const args = ["domain", "show", SAMPLE_DOMAIN, "--edge", "http://127.0.0.1:9"];
    const { code, stdout, stderr } = await holdfast(network, args);
    expect(code).toBe(0);
    expect(stdout).toContain("policy");
    expect(stdout).not.toContain("SUPPORTER");
    expect(stderr).toContain("does not say what it keeps");
  });

  test.skipIf(missing.length > 0)("has a page on which names are text, no wider than a phone", async () => {
    const browser = await startBrowser();
    try {
      const tab = await browser.open(360, 800);
      await tab.goto(`${network.edgeUrl}/#/${SAMPLE_DOMAIN}/`);
      await tab.until(`document.querySelector(".supporters") !== null`);
      await tab.until(`document.querySelector("#domains li") !== null`);
      const text = await tab.text("#lookup-result");
      expect(text).toContain(NAME);
      expect(text).toContain("a volunteer");
      expect(text).toMatch(/by 2 nodes that chose it: enough for all of it/);
      expect(await tab.text("#domains")).toContain(SAMPLE_DOMAIN);
      expect(await tab.evaluate(`document.querySelectorAll("main b").length`)).toBe(0);
      expect(await tab.evaluate(`document.documentElement.scrollWidth`)).toBeLessThanOrEqual(360);
      expect(await tab.cspViolations()).toEqual([]);
    } finally {
      await browser.stop();
    }
  });
});
