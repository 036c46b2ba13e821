// An edge that answers badly: endless, slow, in circles, from elsewhere, or with broken chunks. A client ends within its
// limits, with the right bytes or a code; and the same client reads from the same edge when that is honest again.

import { randomBytes } from "node:crypto";
import { once } from "node:events";
import type { ServerResponse } from "node:http";
import { setImmediate, setTimeout } from "node:timers/promises";
import { afterAll, afterEach, beforeAll, describe, expect, inject, test } from "vitest";
import { SeededRandom } from "../random.ts";
import { type Outcome, outcomeOf } from "./lied-to-client.ts";
import { type Answer, HONEST, type Lie, LyingEdge, withJson } from "./lying-edge.ts";
import { answering, LyingScene, locating, NEW, problem, redirect, relayedOnly } from "./lying-scene.ts";

const network = inject("network");
/** Pages that a client reads of one server to find the newest Version. */
const PAGES_ASKED_MAX = 4;
const CHUNK_LIES = 200;
/** What a name's answer may have, and what fits into buffers on the way. */
const READ_BYTES_MAX = 64 * 1024 * 1024;
/** A look-up that nothing comes of ends after 15 s, one that drips after 60 s; here are several, and a busy machine. */
const SLOW_MS_MAX = 90_000;
const POLL_MS = 5;
const BLOCK = Buffer.alloc(64 * 1024, " ");

let scene: LyingScene;

/** Name answers, and the codes that they come to. */
const BROKEN: [string, (answer: Answer) => Answer, string][] = [
  ["one page again and again", (answer) => page(answer, "f".repeat(64)), "bad-answer"],
  ["pages without end", (answer) => page(answer, randomBytes(32).toString("hex")), "not-found"],
  [
    "300 Versions on a page",
    (answer) =>
      withJson(answer, { ...scene.newAnswer, versions: Array(300).fill(scene.newAnswer.versions[0]) }),
    "bad-answer",
  ],
  ["a redirect elsewhere", () => redirect(`${network.edgeUrl}/status`), "bad-answer"],
  ["a redirect to a file", () => redirect("file:///etc/passwd"), "bad-answer"],
  ["no JSON", (answer) => ({ ...answer, body: Buffer.from("<html>") }), "bad-answer"],
  [
    "JSON of a great depth",
    (answer) => ({ ...answer, body: Buffer.from("[".repeat(1_000_000)) }),
    "bad-answer",
  ],
  ["nothing", () => ({ status: 204, headers: {}, body: Buffer.alloc(0) }), "bad-answer"],
  ["a failure that nobody knows", () => problem("made-up", 500), "bad-answer"],
  ["a failure that is another's to find", () => problem("rolled-back", 409), "rolled-back"],
];

/** Answers about holders that are of no use: the chunk is asked for at the edge itself. */
const MISLED: [string, Lie][] = [
  [
    "holders that are not there",
    locating((honest) => ({
      ...honest,
      nodes: honest.nodes.map((node) => ({ ...node, url: "http://127.0.0.1:1" })),
    })),
  ],
  [
    "no holder",
    locating((honest) => ({ ...honest, chunks: honest.chunks.map(({ hash }) => ({ hash, holders: [] })) })),
  ],
  [
    "too many holders",
    locating((honest) => ({
      ...honest,
      chunks: honest.chunks.map(({ hash, holders }) => ({ hash, holders: Array(65).fill(holders[0]) })),
    })),
  ],
  ["holders that nobody can name", locating((honest) => ({ ...honest, nodes: [] }))],
  ["a failure", answering("POST /chunk/locate", () => problem("internal", 500))],
];

function page(answer: Answer, next: string): Answer {
  return withJson(answer, { ...scene.newAnswer, versions: [], manifest: null, next });
}

/** One way to spoil a chunk; none of them leaves it as it was. */
function spoiled(bytes: Buffer, random: SeededRandom): Buffer {
  const at = random.between(0, bytes.length - 1);
  const flipped = Buffer.from(bytes);
  flipped[at] = (flipped[at] ?? 0) ^ (1 << random.between(0, 7));
  return random.pick([
    flipped,
    bytes.subarray(0, at),
    Buffer.concat([bytes, random.bytes(random.between(1, 4096))]),
    Buffer.concat([bytes, bytes]),
    Buffer.from(bytes.toReversed()),
    random.bytes(bytes.length),
    Buffer.alloc(0),
    Buffer.alloc(bytes.length),
  ]);
}

describe("an edge that answers badly", () => {
  beforeAll(async () => {
    scene = await LyingScene.start(network);
  }, 120_000);

  afterEach(() => {
    scene.edge.lie = HONEST;
  });

  afterAll(() => scene.edge.stop());

  test.each(BROKEN)(
    "about a name, with %s: a code, after a bounded number of questions",
    async (_, change, code) => {
      const client = await scene.readerOf();
      scene.edge.asked.length = 0;
      scene.edge.lie = answering("GET /name", change);
      expect(await outcomeOf(client.get("app"))).toEqual({ code });
      expect(scene.edge.asked.length).toBeLessThanOrEqual(PAGES_ASKED_MAX);
      scene.edge.lie = HONEST;
      expect(await client.get("app")).toBe(NEW);
    },
  );

  test.each(MISLED)("about holders, with %s: the right bytes all the same", async (_, lie) => {
    const client = await scene.readerOf();
    scene.edge.lie = lie;
    expect(await client.get("app")).toBe(NEW);
  });

  test.each([
    ["to itself for ever", (url: string) => `${url}/chunk/${"0".repeat(64)}`],
    ["to a file", () => "file:///etc/passwd"],
    ["to what is no URL", () => "http://"],
    ["to other bytes", () => `${network.edgeUrl}/status`],
  ])("about a chunk, with a redirect %s: a code", async (_, locationAt) => {
    const client = await scene.readerOf();
    scene.edge.lie = (answer, { kind }) => {
      if (kind === "POST /chunk/locate") return problem("internal", 500);
      return kind === "GET /chunk" ? redirect(locationAt(scene.edge.url)) : answer;
    };
    expect(await outcomeOf(client.get("app"))).toEqual({ code: "no-holder" });
  });

  test("with chunks that are flipped, cut, extended or exchanged: none of them is taken", async () => {
    const client = await scene.readerOf();
    const both = await scene.readerOf(scene.both);
    const random = new SeededRandom("chunk lies");
    const tally = new Map<string, number>();
    for (let i = 0; i < CHUNK_LIES; i++) {
      scene.edge.lie = (answer, asked, response) => {
        if (asked.kind === "GET /chunk") return problem("no-holder", 503);
        const isChunk = asked.kind === "GET /via" && answer.status === 200;
        return isChunk
          ? { ...answer, body: spoiled(answer.body, random) }
          : relayedOnly(answer, asked, response);
      };
      const said = saidBy(await outcomeOf(client.get("app")));
      tally.set(said, (tally.get(said) ?? 0) + 1);
      if (i % 10 === 0) expect(await both.get("app")).toBe(NEW);
    }
    console.log(`${CHUNK_LIES} lies about chunks: ${JSON.stringify(Object.fromEntries(tally))}`);
    expect(Object.fromEntries(tally)).toEqual({ "no-holder": CHUNK_LIES });
    scene.edge.lie = relayedOnly;
    expect(await client.get("app")).toBe(NEW);
  }, 240_000);

  test("endlessly: it is cut off where an answer is larger than it may be", async () => {
    const client = await scene.readerOf();
    for (const [status, type] of [
      [200, "application/json"],
      [500, "application/problem+json"],
    ] as const) {
      let sentBytes = 0;
      scene.edge.lie = answering("GET /name", (_, __, response) => {
        response.writeHead(status, { "content-type": type });
        void pour(response, (bytes) => {
          sentBytes += bytes;
        });
        return null;
      });
      expect(await outcomeOf(client.get("app"))).toEqual({ code: "bad-answer" });
      expect(sentBytes).toBeLessThan(READ_BYTES_MAX);
    }
    scene.edge.lie = HONEST;
    expect(await client.get("app")).toBe(NEW);
  }, 120_000);

  /** Asks an edge of its own, which answers for a name like this. */
  async function timed(lie: Lie): Promise<{ outcome: Outcome; ms: number }> {
    const edge = new LyingEdge(network.edgeUrl);
    await edge.start();
    const client = await scene.readerOf([edge.url]);
    edge.lie = answering("GET /name", lie);
    const begun = Date.now();
    const outcome = await outcomeOf(client.get("app"));
    await edge.stop();
    return { outcome, ms: Date.now() - begun };
  }

  test("slowly, or never: the client goes when its time is over", async () => {
    const slow = await Promise.all([
      timed(() => null),
      timed((answer, _, response) => {
        response.writeHead(answer.status, answer.headers).flushHeaders();
        return null;
      }),
      timed((answer, _, response) => {
        response.writeHead(answer.status, answer.headers).write(answer.body.subarray(0, -1));
        return null;
      }),
      timed((answer, _, response) => {
        response.writeHead(answer.status, answer.headers);
        const timer = setInterval(() => response.write(" "), 1000);
        response.once("close", () => clearInterval(timer));
        return null;
      }),
    ]);
    console.log(`slow answers: ${slow.map(({ ms }) => `${Math.round(ms / 1000)} s`).join(", ")}`);
    for (const { outcome, ms } of slow) {
      expect(outcome).toEqual({ code: "timeout" });
      expect(ms).toBeLessThan(SLOW_MS_MAX);
    }
  }, 120_000);
});

function saidBy(outcome: Outcome): string {
  if ("code" in outcome) return outcome.code;
  return outcome.value === NEW ? "right" : "wrong";
}

/** Writes until the reader has gone. */
async function pour(response: ServerResponse, onSent: (bytes: number) => void): Promise<void> {
  const gone = once(response, "close");
  while (!response.destroyed) {
    onSent(BLOCK.length);
    if (response.write(BLOCK)) await setImmediate();
    else await Promise.race([gone, setTimeout(POLL_MS)]);
  }
}
