// An object in stripes on real home nodes: where its chunks lie, and who still reads it when two of six nodes are killed.

import { randomBytes } from "node:crypto";
import { access } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import type { LocalNetwork } from "../../cli/local/network.ts";
import type { Hash } from "../../lib/hash.ts";
import { type Manifest, parseManifest, stripedList } from "../../lib/manifest.ts";
import { matchPositions } from "../../lib/redundancy/matching.ts";
import { membersOf, type Stripe, stripesOf } from "../../lib/redundancy/stripes.ts";
import { bareGet, getFile, judge, sha256 } from "./object-reads.ts";
import { Publisher, run } from "./publisher.ts";
import { requirePrograms } from "./requires.ts";
import { endNetwork, sharedView, startNetwork } from "./setup.ts";

const withoutCurl = requirePrograms({ curl: "curl" }).missing.length > 0;
const NODES = 6;
const BIG = randomBytes(20 * 1024 * 1024);
/** Nobody reads it before holders are gone: the edge keeps what is read often. */
const UNREAD = randomBytes(20 * 1024 * 1024);
const SMALL = randomBytes(5000);
const OTHER = randomBytes(5000);

describe("objects in stripes of 3+2 on six home nodes", () => {
  let network: LocalNetwork;
  let publisher: Publisher;
  let killed: string[] = [];

  /** Returns when the node's process has ended: until then it may still answer. */
  const kill = async (number: string): Promise<void> => {
    const node = network.nodes[Number(number) - 1];
    if (node === undefined) throw new Error(`there is no node ${number}`);
    node.process.kill("SIGKILL");
    await vi.waitUntil(() => !node.process.isRunning, { timeout: 5000, interval: 20 });
  };

  beforeAll(async () => {
    network = await startNetwork(NODES);
    publisher = await Publisher.create(sharedView(network));
    await publishAs("big", BIG);
    await publishAs("unread", UNREAD);
    await publishAs("small", SMALL);
  });

  afterAll(() => endNetwork(network));

  async function publishAs(name: string, content: Uint8Array, ...options: string[]): Promise<void> {
    const file = await publisher.writeFile(name, content);
    const scheme = options.length === 0 ? ["--redundancy", "3+2"] : options;
    expect(await publisher.publish(file, name, ...scheme)).toMatchObject({ code: 0 });
  }

  async function manifestOf(name: string): Promise<Manifest> {
    const nameHash = sha256(`${publisher.domain}/${name}`);
    const response = await fetch(`${network.edgeUrl}/name/${nameHash}?domain=${publisher.domain}`);
    const { manifest } = (await response.json()) as { manifest: string };
    return parseManifest(new Uint8Array(Buffer.from(manifest, "base64")));
  }

  async function stripesIn(name: string): Promise<Stripe[]> {
    const manifest = await manifestOf(name);
    const list = "chunks" in manifest ? stripedList(manifest, manifest.redundancy) : null;
    return list === null ? [] : stripesOf(list);
  }

  /** The numbers of the nodes that have the chunk on disk. */
  async function keepersOf(hash: Hash): Promise<string[]> {
    const numbers = Array.from({ length: NODES }, (_, i) => String(i + 1));
    const found = await Promise.all(
      numbers.map((number) =>
        access(join(network.dir, "nodes", number, "chunks", hash.slice(0, 2), hash)).then(
          () => [number],
          () => [],
        ),
      ),
    );
    return found.flat();
  }

  async function readEverywhere(name: string, content: Buffer): Promise<void> {
    expect(judge(await bareGet(publisher.objectUrl(name)), content)).toBe("whole");
    const { code, file } = await getFile(publisher, name);
    expect({ code, isRight: file?.equals(content) }).toEqual({ code: 0, isRight: true });
  }

  test("each chunk of a stripe lies on a node of its own, and once", async () => {
    const stripes = await stripesIn("big");
    expect(stripes.length).toBeGreaterThan(2);
    for (const stripe of stripes) {
      const keepers = await Promise.all(membersOf(stripe).map(({ hash }) => keepersOf(hash)));
      expect(matchPositions(keepers)).not.toContain(null);
      if (stripe.data.length > 1) expect(keepers.map(({ length }) => length)).toEqual(keepers.map(() => 1));
    }
  });

  test("the one chunk of a small object lies on three", async () => {
    const [stripe] = await stripesIn("small");
    expect(await keepersOf(stripe?.data[0]?.hash as Hash)).toHaveLength(3);
  });

  test("a scheme of more positions than there are nodes is refused, and says why", async () => {
    const file = await publisher.writeFile("wide", randomBytes(8 * 1024 * 1024));
    const { code, stderr } = await publisher.publish(file, "wide", "--redundancy", "5+2");
    expect(code).toBe(5);
    expect(stderr).toContain("too-few-nodes");
    expect(stderr).toContain("apart from the");
    expect((await fetch(publisher.objectUrl("wide"))).status).toBe(404);
  });

  test("with two of the six nodes killed, curl and holdfast get read all of it", async () => {
    await publishAs("control", OTHER, "--replicas", "1");
    const control = await manifestOf("control");
    const [only = ""] = await keepersOf(("chunks" in control ? control.chunks : [])[0]?.hash as Hash);
    killed = [only, only === "1" ? "2" : "1"];
    for (const number of killed) await kill(number);
    await readEverywhere("big", BIG);
    await readEverywhere("small", SMALL);
    // The control: what was on one node went with it.
    expect(judge(await bareGet(publisher.objectUrl("control")), OTHER)).toBe("refused");
  });

  test.skipIf(withoutCurl)("curl takes a range of a chunk whose holder is gone", async () => {
    const chunks = (await stripesIn("big")).flatMap(({ data }) => data);
    const keepers = await Promise.all(chunks.map(({ hash }) => keepersOf(hash)));
    const lost = keepers.findIndex(([keeper = ""]) => killed.includes(keeper));
    expect(lost).not.toBe(-1);
    const start = chunks.slice(0, lost).reduce((sum, { size }) => sum + size, 0);
    const range = `${start + 10}-${start + 1009}`;
    const curl = await run("curl", ["-fsS", "-r", range, publisher.objectUrl("big")], { encoding: "buffer" });
    expect(curl.stdout.equals(BIG.subarray(start + 10, start + 1010))).toBe(true);
  });

  test("with three holders of one stripe killed, a read ends with a clear error and no whole file", async () => {
    const [stripe] = await stripesIn("unread");
    const keepers = await Promise.all(
      (stripe === undefined ? [] : membersOf(stripe)).map(({ hash }) => keepersOf(hash)),
    );
    // Which of the six nodes has no part of this stripe is chance, and it may be one of the two killed above.
    const alive = keepers.flat().filter((number) => !killed.includes(number));
    for (const number of alive.slice(2)) await kill(number);
    expect(["broken", "refused"]).toContain(judge(await bareGet(publisher.objectUrl("unread")), UNREAD));
    const { code, stderr, file } = await getFile(publisher, "unread");
    expect({ code, file }).toEqual({ code: 5, file: null });
    expect(stderr).toContain("no-holder");
    expect(stderr).toContain("of its stripe");
  });
});
