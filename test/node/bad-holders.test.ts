// One in five nodes is bad, in every way a holder can be, and no reader gets a wrong byte. `npm run bad-holders -- --seeds
// 200` is the same with other numbers.

import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { SeededRandom } from "../random.ts";
import { BAD_ANSWER_NAMES } from "./bad-answers.ts";
import { addUp, countUncheckedWrong, drawFaults, readAll, readUnderFaults } from "./bad-holder-reads.ts";
import { Cleanup } from "./home-node-fixture.ts";
import { REPLICAS, Testnet } from "./testnet.ts";

const NODES = 100;
const BAD_NODES = 20;
/** Of 26 chunks on 6 nodes each, some have only bad holders: all but once in 200,000 nets. */
const MOSTLY_BAD = 85;
const OBJECTS = 8;
const CHUNKS_EACH = 25;
/** Of the last object, for tests in which a client asks every holder and waits for many. */
const CHUNKS_OF_SMALL = 8;
const SEEDS = Array.from({ length: 20 }, (_, i) => i + 1);
const TIMEOUT_MS = 180_000;

const cleanup = new Cleanup();
let net: Testnet;

beforeAll(async () => {
  net = await Testnet.start(NODES, cleanup);
  const random = new SeededRandom("objects");
  for (let i = 1; i < OBJECTS; i++) await net.store(CHUNKS_EACH, random);
  await net.store(CHUNKS_OF_SMALL, random);
}, TIMEOUT_MS);

afterAll(() => cleanup.run(), TIMEOUT_MS);

describe(`${NODES} home nodes that keep each chunk ${REPLICAS} times`, () => {
  test("give every chunk and object at the first attempt when all are honest", async () => {
    const figures = await readAll(net, new Map(), 0);
    expect(figures).toMatchObject({ reads: net.chunks.size, succeeded: net.chunks.size, complete: OBJECTS });
    expect(figures).toMatchObject({ corruptBytes: 0, ended: 0, falseAlarms: 0 });
  });

  test(
    `deliver no wrong byte, and all but one chunk in a thousand, with ${BAD_NODES} of them bad`,
    async () => {
      const bySeed = await readUnderFaults(net, SEEDS, BAD_NODES);
      const seedsWith = (key: "corruptBytes" | "failedInVain") =>
        [...bySeed].filter(([, figures]) => figures[key] > 0).map(([seed]) => `seed ${seed}`);
      expect(seedsWith("corruptBytes")).toEqual([]);
      expect(seedsWith("failedInVain")).toEqual([]);
      const sum = addUp(bySeed.values());
      expect(sum.succeeded / sum.reads).toBeGreaterThanOrEqual(0.999);
      expect(sum.complete + sum.ended).toBe(SEEDS.length * OBJECTS);
      expect([...sum.passedOver.keys()].sort()).toEqual([...BAD_ANSWER_NAMES].sort());
    },
    TIMEOUT_MS,
  );

  test(
    `give each chunk that an honest one keeps, and no other, with ${MOSTLY_BAD} of them bad`,
    async () => {
      const [seed = 0] = SEEDS;
      const figures = await readAll(net, drawFaults(net, seed, MOSTLY_BAD), seed, net.objects.slice(0, 1));
      expect(figures).toMatchObject({ failedInVain: 0, corruptBytes: 0 });
      expect(figures.succeeded).toBeGreaterThan(0);
      expect(figures.succeeded).toBeLessThan(figures.reads);
    },
    TIMEOUT_MS,
  );

  test("would deliver wrong bytes to a reader that does not check", async () => {
    const [seed = 0] = SEEDS;
    const faults = drawFaults(net, seed, BAD_NODES);
    expect(await countUncheckedWrong(net, faults, seed, net.objects)).toBeGreaterThan(0);
  });

  test(
    "give nothing, and say so, where all are bad",
    async () => {
      const [seed = 0] = SEEDS;
      const figures = await readAll(net, drawFaults(net, seed, NODES), seed, net.objects.slice(-1));
      expect(figures).toMatchObject({ reads: CHUNKS_OF_SMALL + 1, succeeded: 0, complete: 0, ended: 1 });
      expect(figures.corruptBytes).toBe(0);
    },
    TIMEOUT_MS,
  );
});
