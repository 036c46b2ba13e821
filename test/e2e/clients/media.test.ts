// Chromium plays a film from /obj and seeks in it: it asks for the bytes of the place, not for all that is before.

import { mkdir, stat } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, inject, test } from "vitest";
import { type Browser, startBrowser, type Tab } from "../page-browser.ts";
import { publishTree } from "../publish-tree.ts";
import { Publisher } from "../publisher.ts";
import { requirePrograms } from "../requires.ts";
import { FILM_BYTES_MIN, FILM_SECONDS, FILMS, makeFilms } from "./film.ts";
import { ForeignSite } from "./foreign-site.ts";

const network = inject("network");
const { missing } = requirePrograms({ chromium: "chromium", ffmpeg: "ffmpeg" });

/**
 * Chromium has read what it wants ahead. Where a seek meets a read under way it can lose a WebM's index and reads all
 * that is before the place, from any server that is not very fast.
 */
const IS_SETTLED =
  "video.networkState === HTMLMediaElement.NETWORK_IDLE && video.readyState === HTMLMediaElement.HAVE_ENOUGH_DATA";

/** Defines what the tests ask of the page's video. */
const PROBE = `globalThis.video = document.querySelector("video");
globalThis.seek = async (seconds) => {
  const arrived = new Promise((resolve) => video.addEventListener("seeked", resolve, { once: true }));
  video.currentTime = seconds;
  await arrived;
  return video.currentTime;
};
globalThis.color = () => {
  const size = { width: 32, height: 18 };
  const context = Object.assign(document.createElement("canvas"), size).getContext("2d");
  context.drawImage(video, 0, 0, size.width, size.height);
  const { data } = context.getImageData(0, 0, size.width, size.height);
  const [red, green, blue] = [0, 1, 2].map((channel) => data.reduce((sum, value, i) => sum + (i % 4 === channel ? value : 0), 0));
  return red > green + blue ? "red" : green > red + blue ? "lime" : blue > red + green ? "blue" : "other";
};`;

/** What a tab has received of films. */
class Traffic {
  readonly contentRanges: string[] = [];
  bytes = 0;

  constructor(tab: Tab) {
    tab.on("Network.responseReceived", ({ response }) => {
      const { status, headers } = Object(response);
      if (status === 206) this.contentRanges.push(String(headers["Content-Range"]));
    });
    tab.on("Network.dataReceived", ({ dataLength }) => {
      this.bytes += Number(dataLength);
    });
  }

  /** The position from which a range was sent that is the furthest into the file. */
  get furthestFirst(): number {
    return Math.max(...this.contentRanges.map((range) => Number(/^bytes (\d+)-/.exec(range)?.[1])));
  }
}

describe.skipIf(missing.length > 0)("a film", () => {
  let publisher: Publisher;
  let browser: Browser;
  let elsewhere: ForeignSite;
  let folder: string;

  beforeAll(async () => {
    publisher = await Publisher.create(network);
    folder = join(publisher.folder, "films");
    await mkdir(folder);
    await makeFilms(folder);
    await publishTree(publisher, folder, "films");
    elsewhere = new ForeignSite();
    await elsewhere.start();
    browser = await startBrowser();
  });

  afterAll(async () => {
    await browser.stop();
    await elsewhere.stop();
  });

  describe.each(Object.keys(FILMS))("%s", (name) => {
    const urlOf = () => publisher.objectUrl(`films/${name}`);

    async function open(url: string): Promise<{ tab: Tab; traffic: Traffic }> {
      const tab = await browser.open(800, 600);
      const traffic = new Traffic(tab);
      await tab.send("Network.enable");
      await tab.goto(url);
      await tab.evaluate(PROBE);
      return { tab, traffic };
    }

    /** Seeks; gives the time and the color of the picture that is shown then. */
    async function seek(tab: Tab, seconds: number): Promise<unknown[]> {
      await tab.until(IS_SETTLED);
      return [await tab.evaluate(`seek(${seconds})`), await tab.evaluate("color()")];
    }

    test("is sought through in a page elsewhere", async () => {
      const sizeBytes = (await stat(join(folder, name))).size;
      expect(sizeBytes).toBeGreaterThan(FILM_BYTES_MIN);
      const page = elsewhere.add(`/${name}`, `<video crossorigin controls src="${urlOf()}"></video>`);
      const { tab, traffic } = await open(page);
      expect(await seek(tab, 55)).toEqual([55, "blue"]);
      expect(traffic.furthestFirst).toBeGreaterThan(sizeBytes / 2);
      expect(traffic.bytes).toBeLessThan(sizeBytes / 2);
      expect(await seek(tab, 25)).toEqual([25, "lime"]);
      expect(await seek(tab, 5)).toEqual([5, "red"]);
      expect(await tab.evaluate("video.duration")).toBeCloseTo(FILM_SECONDS, 0);
    });

    test("opens by itself at the time that the link names", async () => {
      const { tab } = await open(`${urlOf()}#t=50`);
      await tab.until("!video.seeking && video.currentTime === 50");
      expect(await tab.evaluate("color()")).toBe("blue");
    });
  });
});
