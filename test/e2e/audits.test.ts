// A volunteer's disk loses chunks under a node that runs on: the edge's audits find it, the node and the network are told,
// and a reader notices nothing.

import { readdirSync } from "node:fs";
import { rm } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test, vi } from "vitest";
import type { LocalNetwork } from "../../cli/local/network.ts";
import { STANDING_CLEAR } from "../../lib/durability/standing.ts";
import { type EdgeStatus, parseEdgeStatus } from "../../lib/wire/status.ts";
import { SeededRandom } from "../random.ts";
import { startBrowser } from "./page-browser.ts";
import { Publisher } from "./publisher.ts";
import { findProgram } from "./requires.ts";
import { endNetwork, sharedView, startNetwork } from "./setup.ts";

const NODES = 4;
const TIMEOUT_MS = 240_000;
/** Once in five seconds for each node, and a look each second. */
const SETTINGS = { SWEEP_SECONDS: "1", AUDITS_PER_DAY: "17280" };

let network: LocalNetwork;
let publisher: Publisher;

beforeAll(async () => {
  network = await startNetwork(NODES, 0, SETTINGS);
  publisher = await Publisher.create(sharedView(network));
}, TIMEOUT_MS);

afterAll(() => endNetwork(network), TIMEOUT_MS);

/** The files of a node's chunks; the first node's number is 1. */
function chunkFiles(number: number): string[] {
  const folder = join(network.dir, "nodes", String(number), "chunks");
  return readdirSync(folder, { recursive: true, withFileTypes: true }).flatMap((entry) =>
    entry.isFile() ? [join(entry.parentPath, entry.name)] : [],
  );
}

async function members(): Promise<EdgeStatus["members"]> {
  return parseEdgeStatus(await (await fetch(`${network.edgeUrl}/status`)).json()).members;
}

async function memberAt(number: number): Promise<EdgeStatus["members"][number]> {
  const url = network.nodes[number - 1]?.url;
  const found = (await members()).find((member) => member.url === url);
  if (found === undefined) throw new Error(`node ${number} is not listed`);
  return found;
}

const statusOf = (number: number) =>
  publisher.holdfast("node", "status", "--dir", join(network.dir, "nodes", String(number)));

test(
  "chunks lost from a disk are found by audits, and everybody who should know is told",
  async () => {
    const content = new SeededRandom("audits", 1).bytes(6_000_000);
    const file = await publisher.writeFile("disk.bin", content);
    expect((await publisher.publish(file, "disk.bin", "--replicas", "3")).code).toBe(0);
    const isWell = async () => (await members()).every(({ standing = 0 }) => standing >= STANDING_CLEAR);
    await vi.waitUntil(isWell, { timeout: 120_000, interval: 500 });
    const lost = chunkFiles(1);
    expect(lost.length).toBeGreaterThan(1);
    for (const path of lost) await rm(path);

    const isFound = async () => ((await memberAt(1)).standing ?? 1) < STANDING_CLEAR;
    await vi.waitUntil(isFound, { timeout: 60_000, interval: 500 });
    const told = async () => (await statusOf(1)).stdout.includes("did not have chunk");
    await vi.waitUntil(told, { timeout: 20_000, interval: 500 });
    const { stdout } = await statusOf(1);
    expect(stdout).toMatch(/^standing +\d+ audits? passed, [1-9]\d* failed; since the start/m);
    expect(stdout).toMatch(/^uptime +\d+\.\d % since \d{4}-/m);
    // Control: who lost nothing is told of no failure.
    expect((await statusOf(2)).stdout).toMatch(/^standing +\d+ audits? passed, 0 failed;/m);
    expect((await memberAt(2)).standing).toBeGreaterThanOrEqual(STANDING_CLEAR);

    expect(Buffer.from(await (await fetch(publisher.objectUrl("disk.bin"))).arrayBuffer())).toEqual(content);
    const isSeen = async () => {
      const { stdout: log } = await publisher.holdfast("log", `${publisher.domain}/disk.bin`);
      return /^ {2}audited {3}every chunk since \d{4}-.* UTC, \d+ (second|minute)s? ago$/m.test(log);
    };
    await vi.waitUntil(isSeen, { timeout: 60_000, interval: 1000 });
  },
  TIMEOUT_MS,
);

test.skipIf(findProgram("chromium") === null)(
  "the page shows how each node stands and what it carries",
  async () => {
    const browser = await startBrowser();
    try {
      const tab = await browser.open(1200, 900);
      await tab.goto(network.edgeUrl);
      await tab.until(`document.querySelectorAll("#members li").length === ${NODES}`);
      // What audits show of a node is there once each of them has been audited.
      await vi.waitFor(
        async () => {
          await tab.goto(network.edgeUrl);
          await tab.until(`document.querySelectorAll("#members li").length === ${NODES}`);
          const rows = (await tab.text("#members")).match(/standing \d\.\d\d · up .* · keeps \d+ chunks?/g);
          expect(rows).toHaveLength(NODES);
        },
        { timeout: 30_000, interval: 1000 },
      );
      expect(tab.consoleErrors).toEqual([]);
      const phone = await browser.open(360, 800);
      await phone.goto(network.edgeUrl);
      await phone.until(`document.querySelectorAll("#members li").length === ${NODES}`);
      expect(await phone.evaluate("document.documentElement.scrollWidth - innerWidth")).toBeLessThanOrEqual(
        0,
      );
    } finally {
      await browser.stop();
    }
  },
  TIMEOUT_MS,
);
