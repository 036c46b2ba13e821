// Objects larger than an edge streams in one request, at an edge whose limit is a few chunks: who can go on by ranges
// does, who can't is told so, and nobody takes a part for the whole.

import { createHash, randomBytes } from "node:crypto";
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { LocalNetwork } from "../../cli/local/network.ts";
import { type Answer, exchange } from "./http-exchange.ts";
import { startBrowser } from "./page-browser.ts";
import { Publisher, run } from "./publisher.ts";
import { requirePrograms } from "./requires.ts";
import { endNetwork, sharedView, startNetwork } from "./setup.ts";

const withoutCurl = requirePrograms({ curl: "curl" }).missing.length > 0;
const withoutWget = requirePrograms({ wget: "wget" }).missing.length > 0;
const withoutAria = requirePrograms({ aria2c: "aria2" }).missing.length > 0;
const withoutBrowser = requirePrograms({ chromium: "chromium" }).missing.length > 0;

const MiB = 1024 * 1024;
const LIMIT = 4 * MiB;
const BIG = randomBytes(11 * MiB + 123);
const FITTING = randomBytes(LIMIT);
/** Bytes a second of the recording. */
const RECORDING_RATE = 96_000;
const sha256 = (bytes: Uint8Array) => createHash("sha256").update(bytes).digest("hex");
const problemOf = ({ body }: Answer): unknown => JSON.parse(body.toString());

/** Noise that a browser can play, and go to any place in: 16 bits, mono, 48 kHz. */
function recording(sizeBytes: number): Buffer {
  const wav = randomBytes(sizeBytes);
  wav.write("RIFF    WAVEfmt ");
  wav.writeUInt32LE(sizeBytes - 8, 4);
  wav.writeUInt32LE(16, 16);
  wav.writeUInt16LE(1, 20);
  wav.writeUInt16LE(1, 22);
  wav.writeUInt32LE(RECORDING_RATE / 2, 24);
  wav.writeUInt32LE(RECORDING_RATE, 28);
  wav.writeUInt16LE(2, 32);
  wav.writeUInt16LE(16, 34);
  wav.write("data", 36);
  wav.writeUInt32LE(sizeBytes - 44, 40);
  return wav;
}

let network: LocalNetwork;
let publisher: Publisher;

async function publish(name: string, content: Uint8Array): Promise<void> {
  const file = await publisher.writeFile(name, content);
  expect(await publisher.publish(file, name, "--replicas", "1")).toMatchObject({ code: 0 });
}

const get = (name: string, headers: Record<string, string> = {}) =>
  exchange("GET", publisher.objectUrl(name), headers);

beforeAll(async () => {
  network = await startNetwork(2, 0, { STREAM_BYTES_MAX: String(LIMIT) });
  publisher = await Publisher.create(sharedView(network));
  await publish("big", BIG);
  await publish("fitting", FITTING);
});

afterAll(() => endNetwork(network));

describe("past the limit", () => {
  test("an object of exactly the limit is streamed", async () => {
    const answer = await get("fitting");
    expect(answer.status).toBe(200);
    expect(sha256(answer.body)).toBe(sha256(FITTING));
  });

  test("a larger one is 406, with what to do instead", async () => {
    const answer = await get("big");
    expect(answer.headers).toMatchObject({
      "content-type": "application/problem+json",
      "accept-ranges": "bytes",
      "cache-control": "no-store",
    });
    expect(problemOf(answer)).toMatchObject({
      status: 406,
      code: "use-client",
      detail: expect.stringContaining("holdfast get"),
      size: BIG.length,
      limit: LIMIT,
    });
  });

  test("HEAD says how large it is, and that ranges are served", async () => {
    const answer = await exchange("HEAD", publisher.objectUrl("big"));
    expect(answer.status).toBe(200);
    expect(answer.headers).toMatchObject({
      "content-length": String(BIG.length),
      "accept-ranges": "bytes",
    });
  });

  test("ranges within the limit give the whole", async () => {
    const blocks: Buffer[] = [];
    for (let first = 0; first < BIG.length; first += LIMIT) {
      const answer = await get("big", { range: `bytes=${first}-${first + LIMIT - 1}` });
      expect(answer.status).toBe(206);
      blocks.push(answer.body);
    }
    expect(sha256(Buffer.concat(blocks))).toBe(sha256(BIG));
  });

  test.each([
    ["an open range", { range: "bytes=0-" }, 406],
    ["the rest, past the limit", { range: `bytes=${BIG.length - LIMIT - 1}-` }, 406],
    ["the rest, within it", { range: `bytes=${BIG.length - LIMIT}-` }, 206],
    ["a suffix past the limit", { range: `bytes=-${LIMIT + 1}` }, 406],
    ["ranges that add up to more", { range: `bytes=0-${2 * MiB},${5 * MiB}-${7 * MiB}` }, 406],
    ["ranges that add up to the limit", { range: `bytes=0-${2 * MiB - 1},-${2 * MiB}` }, 206],
    ["a range of another Version", { range: "bytes=0-9", "if-range": '"another"' }, 406],
    ["a range after the end", { range: `bytes=${BIG.length}-` }, 416],
    ["what the client has already", { "if-none-match": "*" }, 304],
    ["what is no longer there", { "if-match": '"another"' }, 412],
    ["several ranges by a media element", { range: `bytes=0-,${9 * MiB}-`, "sec-fetch-dest": "video" }, 406],
    ["the whole by a media element", { "sec-fetch-dest": "video" }, 406],
  ])("%s", async (_, headers, status) => {
    expect((await get("big", headers)).status).toBe(status);
  });

  test("a media element's range is answered with its beginning", async () => {
    const answer = await get("big", { range: "bytes=5-", "sec-fetch-dest": "video" });
    expect(answer.status).toBe(206);
    expect(answer.headers).toMatchObject({
      "content-range": `bytes 5-${LIMIT + 4}/${BIG.length}`,
      "content-length": String(LIMIT),
    });
    expect(sha256(answer.body)).toBe(sha256(BIG.subarray(5, LIMIT + 5)));
  });

  test("holdfast get reads it whole", async () => {
    const out = join(publisher.folder, "out");
    expect(await publisher.holdfast("get", `${publisher.domain}/big`, "-o", out)).toMatchObject({ code: 0 });
    expect(sha256(await readFile(out))).toBe(sha256(BIG));
  });
});

describe("programs that know nothing of the limit", () => {
  /** What a download of `length` bytes has left on disk. */
  async function begun(name: string, length: number): Promise<string> {
    const file = join(publisher.folder, name);
    await writeFile(file, BIG.subarray(0, length));
    return file;
  }

  test.skipIf(withoutCurl)("curl -f fails, and saves nothing", async () => {
    const file = join(publisher.folder, "curl");
    const curl = run("curl", ["-fsS", "-o", file, publisher.objectUrl("big")]);
    await expect(curl).rejects.toMatchObject({ code: 22, stderr: expect.stringContaining("406") });
    await expect(readFile(file)).rejects.toMatchObject({ code: "ENOENT" });
  });

  test.skipIf(withoutCurl)(
    "curl -C - fails while too much is missing, and leaves the file alone",
    async () => {
      const file = await begun("curl-far", 3 * MiB);
      const curl = run("curl", ["-fsS", "-C", "-", "-o", file, publisher.objectUrl("big")]);
      await expect(curl).rejects.toMatchObject({ code: 22 });
      expect(await readFile(file)).toHaveLength(3 * MiB);
    },
  );

  test.skipIf(withoutCurl)("curl -C - goes on where the rest is within the limit", async () => {
    const file = await begun("curl-near", BIG.length - LIMIT);
    await run("curl", ["-fsS", "-C", "-", "-o", file, publisher.objectUrl("big")]);
    expect(sha256(await readFile(file))).toBe(sha256(BIG));
  });

  test.skipIf(withoutWget)("wget -c fails while too much is missing, and leaves the file alone", async () => {
    const file = await begun("wget-far", 3 * MiB);
    const wget = run("wget", ["-q", "-c", "-O", file, publisher.objectUrl("big")]);
    await expect(wget).rejects.toMatchObject({ code: 8 }); // "server issued an error response"
    expect(await readFile(file)).toHaveLength(3 * MiB);
  });

  test.skipIf(withoutAria)(
    "aria2c fails, or learns the size by HEAD and gets the whole in ranges",
    async () => {
      const options = ["--no-conf", "-q", "-x8", "-s8", "-k1M", "-d", publisher.folder, "-o", "aria"];
      const url = publisher.objectUrl("big");
      await expect(run("aria2c", [...options, url])).rejects.toMatchObject({ code: 22 }); // "unexpected response"
      await run("aria2c", [...options, "--use-head=true", url]);
      expect(sha256(await readFile(join(publisher.folder, "aria")))).toBe(sha256(BIG));
    },
  );

  test.skipIf(withoutBrowser)("a browser plays on where an answer ended, and goes to any place", async () => {
    const sizeBytes = 3 * LIMIT;
    await publish("sound.wav", recording(sizeBytes));
    const browser = await startBrowser();
    try {
      const tab = await browser.open(800, 600);
      const url = JSON.stringify(publisher.objectUrl("sound.wav"));
      await tab.evaluate(
        `globalThis.audio = new Audio(${url}); audio.preload = "auto"; audio.muted = true; 0`,
      );
      await tab.until("audio.readyState >= HTMLMediaElement.HAVE_CURRENT_DATA");
      expect(await tab.evaluate("audio.duration")).toBeCloseTo(sizeBytes / RECORDING_RATE, 1);
      const border = LIMIT / RECORDING_RATE;
      await tab.press("a"); // nothing plays before a reader has done something
      await tab.evaluate(`audio.currentTime = ${border - 1}; audio.playbackRate = 4; audio.play()`);
      await tab.until(`audio.currentTime > ${border + 1}`);
      await tab.evaluate(`audio.pause(); audio.currentTime = ${sizeBytes / RECORDING_RATE - 1}; 0`);
      await tab.until("!audio.seeking && audio.readyState >= HTMLMediaElement.HAVE_CURRENT_DATA");
      expect(await tab.evaluate("audio.error")).toBeNull();
    } finally {
      await browser.stop();
    }
  });
});
