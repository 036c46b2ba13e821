// Real home nodes behind something bad, read by both kinds of reader: the edge's /obj over a bare socket, and `holdfast
// get`. Right bytes where one holder is honest; where none is, a failure that shows.

import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { LocalNetwork } from "../../cli/local/network.ts";
import { CHUNK_BYTES_MAX } from "../../lib/manifest.ts";
import { SeededRandom } from "../random.ts";
import { BadHolder } from "./bad-holder.ts";
import { bareGet, chunksOf, getFile, judge, newPath, type Placed } from "./object-reads.ts";
import { Plot, STALLS, WAYS, type Way } from "./plot.ts";
import { Publisher } from "./publisher.ts";
import { endNetwork, sharedView, startNetwork } from "./setup.ts";

const HOLDERS = 3;
/** One holder that stalls takes a reader 10 s to 20 s; all tests wait side by side. */
const TIMEOUT_MS = 240_000;
const QUICK = WAYS.filter((way) => !STALLS.includes(way));
/** Over HTTP what follows the declared length is not read: the chunk before it is right, and is taken. */
const HARMLESS_OVER_HTTP = "extends, and declares the chunk";

let network: LocalNetwork;

beforeAll(async () => {
  network = await startNetwork(0);
}, TIMEOUT_MS);

afterAll(() => endNetwork(network), TIMEOUT_MS);

interface Case {
  kind: string;
  by: "listener" | "tunnel";
  /** Number of the first of its holders. */
  first: number;
}

interface PublishedObject {
  name: string;
  content: Buffer;
  chunks: Placed[];
  last: Placed;
}

describe.concurrent.each<Case>([
  { kind: "with a listener", by: "listener", first: 0 },
  { kind: "behind the edge's relay", by: "tunnel", first: HOLDERS },
])("three holders $kind", ({ by, first }) => {
  const plot = new Plot();
  let publisher: Publisher;
  let holders: BadHolder[];
  /** Published while the holders are good: an edge gives nothing more to nodes that did not keep what they had. */
  const objects = new Map<string, PublishedObject>();

  beforeAll(async () => {
    publisher = await Publisher.create(sharedView(network));
    const options = { network, listener: by === "listener", domains: publisher.domain, plot };
    const numbers = Array.from({ length: HOLDERS }, (_, i) => first + i);
    holders = await Promise.all(numbers.map((number) => BadHolder.start({ ...options, number })));
    await network.waitForNodes(2 * HOLDERS);
    for (const reader of ["edge", "command"]) await publishObject(`mixed-for-the-${reader}`, 2 * WAYS.length);
    await publishObject("lost", 3);
    for (const way of STALLS) await publishObject(nameOf(way), 3, "--replicas", "1");
  }, TIMEOUT_MS);

  afterAll(async () => {
    await Promise.all(holders.map((holder) => holder.stop()));
  }, TIMEOUT_MS);

  test(
    "cost a reader nothing but time while each chunk has an honest one among them",
    async () => {
      // An object for each: who was found out by one reader is off the list for the next.
      const byEdge = published("mixed-for-the-edge");
      const hashes = byEdge.chunks.map(({ hash }) => hash);
      conspire(hashes);
      expect(judge(await bareGet(publisher.objectUrl(byEdge.name)), byEdge.content)).toBe("whole");
      expect(plot.left(hashes)).toBe(0);
      expect(plot.waysOut(hashes)).toEqual([by]);
      const byCommand = published("mixed-for-the-command");
      const others = byCommand.chunks.map(({ hash }) => hash);
      conspire(others);
      const { code, file } = await getFile(publisher, byCommand.name);
      expect({ code, isRight: file?.equals(byCommand.content) }).toEqual({ code: 0, isRight: true });
      expect(plot.left(others)).toBe(0);
    },
    TIMEOUT_MS,
  );

  test(
    "show that they fail where all of them are bad, and deliver once they are not",
    async () => {
      const object = published("lost");
      const { name, content, chunks, last } = object;
      const path = newPath(publisher);
      for (const way of QUICK) {
        if (by === "listener" && way === HARMLESS_OVER_HTTP) continue;
        plot.set(last.hash, way, { other: chunks[0]?.hash ?? "" });
        await Promise.all([expectBrokenOff(way, object), expectNoFile(way, object, path)]);
      }
      plot.set(last.hash, "flips a bit", { times: 0 });
      const { code, file } = await getFile(publisher, name, path);
      expect({ code, isRight: file?.equals(content) }).toEqual({ code: 0, isRight: true });
      expect(judge(await bareGet(publisher.objectUrl(name)), content)).toBe("whole");
    },
    TIMEOUT_MS,
  );

  // By /obj only: `get` asks and waits by every way there is, for more than a minute; client-download.test.ts does it
  // with shorter patience.
  test(
    "show that they fail where the only holder of a chunk stalls",
    async () => {
      const stall = async (way: Way): Promise<void> => {
        const object = published(nameOf(way));
        plot.set(object.last.hash, way);
        await expectBrokenOff(way, object);
      };
      await Promise.all(STALLS.map(stall));
    },
    TIMEOUT_MS,
  );

  /** An object of `largest` chunks at least. */
  async function publishObject(name: string, largest: number, ...options: string[]): Promise<void> {
    const content = new SeededRandom(name, by).bytes(largest * CHUNK_BYTES_MAX);
    const file = await publisher.writeFile(name, content);
    expect(await publisher.publish(file, name, ...options)).toMatchObject({ code: 0 });
    const chunks = await chunksOf(publisher, name);
    const last = chunks.at(-1);
    if (last === undefined) throw new TypeError("the object has chunks");
    objects.set(name, { name, content, chunks, last });
  }

  function published(name: string): PublishedObject {
    const object = objects.get(name);
    if (object === undefined) throw new TypeError("it was not published");
    return object;
  }

  function nameOf(way: Way): string {
    return way.replaceAll(" ", "-");
  }

  /** For each chunk, all holders but the one asked last are bad; of those that stall, one is enough to wait for. */
  function conspire(hashes: readonly string[]): void {
    for (const [i, hash] of hashes.entries()) {
      const way = STALLS[i] ?? QUICK[i % QUICK.length] ?? "flips a bit";
      const isTaken = by === "listener" && way === HARMLESS_OVER_HTTP;
      const other = hashes[(i + 1) % hashes.length] ?? hash;
      plot.set(hash, way, { times: i < STALLS.length || isTaken ? 1 : HOLDERS - 1, other });
    }
  }

  /** Whoever reads by /obj finds out: what came is the beginning, and nothing says that it were all. */
  async function expectBrokenOff(way: string, { name, content, last }: PublishedObject): Promise<void> {
    const url = publisher.objectUrl(name);
    const [whole, range] = await Promise.all([
      bareGet(url),
      bareGet(url, { range: `bytes=${last.offset}-` }),
    ]);
    expect({ way, is: judge(whole, content) }).toEqual({ way, is: "broken" });
    expect({ way, is: judge(range, content.subarray(last.offset)) }).toEqual({ way, is: "refused" });
  }

  /** `get` fails, leaves no file of the name, and keeps nothing but the beginning. */
  async function expectNoFile(
    way: string,
    { name, content, last }: PublishedObject,
    path: string,
  ): Promise<void> {
    const { code, file, part } = await getFile(publisher, name, path);
    expect({ way, code, file }).toEqual({ way, code: 5, file: null });
    const kept = part ?? Buffer.alloc(0);
    expect(kept.length).toBeLessThanOrEqual(last.offset);
    expect(kept.equals(content.subarray(0, kept.length))).toBe(true);
  }
});
