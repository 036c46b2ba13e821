// Two edges, real processes: what is published at one is read at the other, whose home nodes hold none of it; one that was down
// catches up; and two that went apart say so.

import { randomBytes } from "node:crypto";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import { nameHashOf, parseName } from "../../lib/names.ts";
import { parseNameAnswer } from "../../lib/wire/names.ts";
import { parseEdgeStatus } from "../../lib/wire/status.ts";
import { type CliResult, holdfast, Publisher } from "./publisher.ts";
import { sharedView } from "./setup.ts";
import { startTwoEdges, type TwoEdges } from "./two-edges.ts";

const PATIENCE = { timeout: 90_000, interval: 250 };
const MiB = 1024 * 1024;

describe("two edges that are peers", () => {
  let edges: TwoEdges;
  let publisher: Publisher;

  beforeAll(async () => {
    edges = await startTwoEdges(3, 1);
    publisher = await Publisher.create(sharedView(edges.a));
  });

  afterAll(async () => {
    await edges.stop();
  });

  const objectAt = (edge: "a" | "b", name: string) =>
    fetch(`${edges[edge].edgeUrl}/obj/${publisher.domain}/${name}`);

  async function publish(name: string, content: Uint8Array, ...options: string[]): Promise<CliResult> {
    const file = await publisher.writeFile("content", content);
    return publisher.publish(file, name, "--replicas", "2", ...options);
  }

  /** Runs the client as somebody who has seen nothing yet. */
  const asNewcomer = (...args: string[]) =>
    holdfast(edges.a, args, {
      env: { XDG_STATE_HOME: join(publisher.folder, `state-${randomBytes(4).toString("hex")}`) },
    });

  async function untilRead(edge: "a" | "b", name: string, content: Uint8Array): Promise<void> {
    await vi.waitUntil(async () => {
      const response = await objectAt(edge, name);
      return response.ok && Buffer.compare(Buffer.from(await response.arrayBuffer()), content) === 0;
    }, PATIENCE);
  }

  test("serve each what is published at the other, byte by byte, from nodes of the other alone", async () => {
    const content = randomBytes(5 * MiB);
    expect((await publish("from-a", content)).code).toBe(0);
    await untilRead("b", "from-a", content);
    const range = await fetch(`${edges.b.edgeUrl}/obj/${publisher.domain}/from-a`, {
      headers: { range: `bytes=${3 * MiB}-${3 * MiB + 99}` },
    });
    expect(range.status).toBe(206);
    expect(Buffer.from(await range.arrayBuffer())).toEqual(content.subarray(3 * MiB, 3 * MiB + 100));
  });

  test("let a client that knows only the other one verify and get it", async () => {
    const content = randomBytes(2 * MiB);
    expect((await publish("for-client", content)).code).toBe(0);
    const target = join(publisher.folder, "got");
    const got = await asNewcomer(
      ...["get", `${publisher.domain}/for-client`, "-o", target, "--edge", edges.b.edgeUrl],
    );
    expect(got).toMatchObject({ code: 0 });
    expect(await readFile(target)).toEqual(content);
  });

  test("say in their status that they exchange", async () => {
    await vi.waitUntil(async () => {
      const { peers } = parseEdgeStatus(await (await fetch(`${edges.a.edgeUrl}/status`)).json());
      return peers[0]?.reachable === true && peers[0].waiting === 0;
    }, PATIENCE);
  });

  test("catch up: one that was down has the newest Version soon after it is back", async () => {
    const [first, second] = [randomBytes(1000), randomBytes(1000)];
    expect((await publish("while-down", first)).code).toBe(0);
    await untilRead("b", "while-down", first);
    await edges.b.edge.end();
    expect((await publish("while-down", second)).code).toBe(0);
    await edges.b.startEdge();
    await untilRead("b", "while-down", second);
  });

  test("tell of a fork: whoever asks one of them hears that the other has another Version", async () => {
    const { stdout, code } = await publish("forked", randomBytes(1000));
    expect(code, stdout).toBe(0);
    // A node that serves both, so that the other one can be published at while the first is down.
    for (let i = 0; i < 2; i++) await edges.b.addNode({ relayed: false });
    await edges.b.waitForNodes(2);
    await vi.waitUntil(async () => (await objectAt("b", "forked")).ok, PATIENCE);
    await edges.b.edge.end();
    expect((await publish("forked", randomBytes(1000))).code).toBe(0);
    await edges.a.edge.end();
    await edges.b.startEdge();
    await edges.b.waitForNodes(2);
    const file = await publisher.writeFile("other", randomBytes(1000));
    const there = await asNewcomer(
      ...["publish", file, `${publisher.domain}/forked`, "--key", publisher.keyFile],
      ...["--author", publisher.author, "--replicas", "2", "--edge", edges.b.edgeUrl],
    );
    expect(there).toMatchObject({ code: 0 });
    await edges.a.startEdge();
    const url = `${edges.a.edgeUrl}/name/${nameHashOf(publisher.domain, parseName("forked"))}?domain=${publisher.domain}`;
    await vi.waitUntil(async () => {
      const { elsewhere } = parseNameAnswer(await (await fetch(url)).json());
      return elsewhere?.[0]?.servers.includes(edges.b.edgeUrl) === true;
    }, PATIENCE);
    const got = await asNewcomer(
      ...["get", `${publisher.domain}/forked`, "-o", "-", "--edge", edges.a.edgeUrl],
    );
    expect(got.code).not.toBe(0);
    expect(got.stderr).toContain("one key signed two Versions at sequence 2");
  });
});
