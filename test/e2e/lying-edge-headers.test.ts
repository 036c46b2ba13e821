// An edge whose bodies are right and whose statuses and headers are not: lengths, encodings, types, redirects, bombs. A reader
// gets the right bytes or a code, and reads them when the edge is honest again.

import { brotliCompressSync, gzipSync } from "node:zlib";
import { afterAll, afterEach, beforeAll, describe, expect, inject, test } from "vitest";
import { type Outcome, outcomeOf } from "./lied-to-client.ts";
import { type Answer, HONEST, type Lie } from "./lying-edge.ts";
import { answering, LyingScene, NEW, problem, relayedOnly } from "./lying-scene.ts";

const network = inject("network");
const BOMB_BYTES = 256 * 1024 * 1024;
const STATUSES = [
  201, 202, 203, 204, 205, 206, 300, 301, 302, 304, 307, 400, 401, 402, 404, 406, 410, 418, 429, 451,
];
const MORE_STATUSES = [500, 502, 503, 504, 599];

let scene: LyingScene;

/** Requests whose answers have wrong headers, and what brings a reader to make them; the codes that it may end with. */
const PATHS: [string, Lie, string[]][] = [
  ["GET /name", HONEST, ["bad-answer", "unreachable"]],
  ["POST /chunk/locate", HONEST, []],
  ["GET /via", relayedOnly, ["no-holder"]],
  ["GET /chunk", answering("POST /chunk/locate", () => problem("internal", 500)), ["no-holder"]],
];

const headers = (changes: Record<string, string>) => (answer: Answer) => ({
  ...answer,
  headers: { ...answer.headers, ...changes },
});

/** Each way of being wrong beside a right body. */
const WRONG: [string, (answer: Answer) => Answer][] = [
  ...[...STATUSES, ...MORE_STATUSES].map((status): [string, (answer: Answer) => Answer] => [
    `status ${status}`,
    (answer) => ({
      ...answer,
      status,
      body: [204, 205, 304].includes(status) ? Buffer.alloc(0) : answer.body,
    }),
  ]),
  ["another type", headers({ "content-type": "text/html" })],
  ["a problem's type", headers({ "content-type": "application/problem+json" })],
  ["no type", (answer) => ({ ...answer, headers: {} })],
  [
    "a length that is too short",
    (answer) => headers({ "content-length": String(answer.body.length - 1) })(answer),
  ],
  [
    "a length that is too long",
    (answer) => headers({ "content-length": String(answer.body.length + 1) })(answer),
  ],
  ["a length of exabytes", headers({ "content-length": "1000000000000000000" })],
  ["a length of nothing", headers({ "content-length": "0" })],
  ["gzip that is none", headers({ "content-encoding": "gzip" })],
  ["brotli that is none", headers({ "content-encoding": "br" })],
  ["an encoding that nobody knows", headers({ "content-encoding": "x-holdfast" })],
  ["gzip", (answer) => ({ ...headers({ "content-encoding": "gzip" })(answer), body: gzipSync(answer.body) })],
  [
    "gzip, cut off",
    (answer) => ({
      ...headers({ "content-encoding": "gzip" })(answer),
      body: gzipSync(answer.body).subarray(0, -9),
    }),
  ],
  [
    "a bomb of gzip",
    (answer) => ({ ...headers({ "content-encoding": "gzip" })(answer), body: bombs().gzip }),
  ],
  ["a bomb of brotli", (answer) => ({ ...headers({ "content-encoding": "br" })(answer), body: bombs().br })],
  ["a location", headers({ location: `${network.edgeUrl}/status`, refresh: "0; url=/" })],
  ["cookies", headers({ "set-cookie": "a=b; path=/", "clear-site-data": '"*"' })],
];

let made: { gzip: Buffer; br: Buffer } | null = null;

function bombs(): { gzip: Buffer; br: Buffer } {
  const zeros = Buffer.alloc(BOMB_BYTES, " ");
  made ??= { gzip: gzipSync(zeros), br: brotliCompressSync(zeros, { params: {} }) };
  return made;
}

describe("an edge with wrong headers", () => {
  beforeAll(async () => {
    scene = await LyingScene.start(network);
    bombs();
  }, 120_000);

  afterEach(() => {
    scene.edge.lie = HONEST;
  });

  afterAll(() => scene.edge.stop());

  test.each(PATHS)(
    "on %s gives no wrong bytes",
    async (kind, path, codes) => {
      const client = await scene.readerOf();
      const tally = new Map<string, number>();
      for (const [what, change] of WRONG) {
        let told = 0;
        scene.edge.lie = async (answer, asked, response) => {
          if (asked.kind !== kind) return path(answer, asked, response);
          told += 1;
          return change(answer);
        };
        const said = saidBy(await outcomeOf(client.get("app")), what);
        tally.set(said, (tally.get(said) ?? 0) + 1);
        expect(told, what).toBeGreaterThan(0);
        scene.edge.lie = path;
        expect(await client.get("app"), what).toBe(NEW);
      }
      console.log(`${kind}: ${WRONG.length} wrong headers: ${JSON.stringify(Object.fromEntries(tally))}`);
      expect(["right", ...codes]).toEqual(expect.arrayContaining([...tally.keys()]));
    },
    240_000,
  );
});

function saidBy(outcome: Outcome, what: string): string {
  if ("code" in outcome) return outcome.code;
  return outcome.value === NEW ? "right" : `wrong: ${what}`;
}
