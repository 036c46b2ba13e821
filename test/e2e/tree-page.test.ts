// Trees in a real browser: the listings under /obj, and the page's folders and Versions. The tree's names are hostile.

import { execFileSync } from "node:child_process";
import { randomBytes } from "node:crypto";
import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, inject, test, vi } from "vitest";
import { decodeBase64 } from "../../lib/base64.ts";
import { namedHashes, parseManifest } from "../../lib/manifest.ts";
import { REFERRAL_TYPE } from "../../lib/wire/chunks.ts";
import { parseObjectReferral } from "../../lib/wire/names.ts";
import { type Browser, startBrowser, type Tab } from "./page-browser.ts";
import { LOOKED_UP } from "./page-check.ts";
import { publishTree, writeFolder } from "./publish-tree.ts";
import { Publisher } from "./publisher.ts";
import { requirePrograms } from "./requires.ts";

const { missing } = requirePrograms({ chromium: "chromium" });
const network = inject("network");
const PHONE = [380, 800] as const;
const WIDE = [1200, 900] as const;
const IMG = `<img src=x onerror="document.title='pwned'">`;
/** As a path it holds a whole script element. */
const SCRIPT = ["<script>document.title='pwned'<", "script>"] as const;
const FOLDER = "it's $(touch pwned) `touch pwned`;touch pwned #%41?";
/** Also asked of a page that is just being loaded, and has nothing yet. */
const LISTED = `document.querySelector("#lookup-result")?.ariaBusy !== "true" && document.querySelectorAll(".tree tbody tr").length > 0`;
const ENTER = { key: "Enter", code: "Enter", text: "\r", windowsVirtualKeyCode: 13 };

describe.skipIf(missing.length > 0)("a published tree", () => {
  let publisher: Publisher;
  let browser: Browser;
  /** Where the tree is, on this edge. */
  let at: string;

  beforeAll(async () => {
    publisher = await Publisher.create(network);
    at = `${publisher.domain}/rel`;
    const first = new Uint8Array(randomBytes(6_000_000));
    const second = new Uint8Array([...first.subarray(0, 3_000_000), ...randomBytes(500)]);
    for (const app of [first, second]) await publish(app);
    browser = await startBrowser();
  });

  afterAll(() => browser.stop());

  async function publish(app: Uint8Array): Promise<void> {
    const files = {
      ...{ "app.iso": app, [IMG]: "x", [SCRIPT.join("/")]: "y", "docs/deep/a.txt": "z" },
      [`docs/${FOLDER}/b`]: "b",
    };
    await publishTree(publisher, await writeFolder(publisher, files), "rel");
  }

  async function open(path: string, size: readonly [number, number] = WIDE): Promise<Tab> {
    const tab = await browser.open(...size);
    await tab.goto(`${network.edgeUrl}${path}`);
    return tab;
  }

  /** That neither markup nor script of a name came to be, and that nobody complains. */
  async function expectHarmless(tab: Tab): Promise<void> {
    expect(await tab.evaluate(`document.querySelectorAll("body :is(img, script, iframe)").length`)).toBe(0);
    expect(await tab.evaluate("document.title")).not.toBe("pwned");
    expect(tab.consoleErrors).toEqual([]);
    expect(await tab.cspViolations()).toEqual([]);
    expect(await tab.evaluate("document.documentElement.scrollWidth - innerWidth")).toBeLessThanOrEqual(0);
  }

  /** Follows the link with this text, by keyboard. */
  async function follow(tab: Tab, text: string): Promise<void> {
    const find = `[...document.querySelectorAll("a")].find(({ innerText }) => innerText === ${JSON.stringify(text)})`;
    await tab.evaluate(`${find}.focus()`);
    await tab.send("Input.dispatchKeyEvent", { type: "keyDown", ...ENTER });
    await tab.send("Input.dispatchKeyEvent", { type: "keyUp", ...ENTER });
  }

  test.each([
    ["wide", WIDE],
    ["narrow", PHONE],
  ])("is listed under /obj, its names as text, on a %s screen", async (_, size) => {
    const tab = await open(`/obj/${at}/`, size);
    const text = await tab.text("table");
    for (const name of [IMG, `${SCRIPT[0]}/`, "docs/", "app.iso"]) expect(text).toContain(name);
    await expectHarmless(tab);
  });

  test("is walked through under /obj by its links, down and up, and on to the page", async () => {
    const tab = await open(`/obj/${at}/`);
    const arriveAt = (path: string) =>
      tab.until(`location.pathname + location.hash === ${JSON.stringify(path)}`);
    await follow(tab, "docs/");
    await arriveAt(`/obj/${at}/docs/`);
    await tab.until(`document.querySelectorAll("tbody tr").length === 3`);
    await follow(tab, `${FOLDER}/`);
    await tab.until(`document.querySelector("h1")?.innerText === ${JSON.stringify(`${at}/docs/${FOLDER}/`)}`);
    expect(await tab.text("tbody")).toContain("b\t1 B");
    await follow(tab, "..");
    await arriveAt(`/obj/${at}/docs/`);
    await tab.until(`document.querySelectorAll("tbody tr").length === 3`);
    await follow(tab, "Browse this folder on the edge’s own page");
    await arriveAt(`/#/${at}/docs/`);
    await tab.until(LISTED);
    expect(tab.consoleErrors).toEqual([]);
  });

  test("has files that can be downloaded from its listing", async () => {
    const tab = await open(`/obj/${at}/`);
    const folder = mkdtempSync(join(tmpdir(), "holdfast-tree-page-"));
    await tab.send("Page.setDownloadBehavior", { behavior: "allow", downloadPath: folder });
    await follow(tab, "app.iso");
    await vi.waitUntil(() => readdirSync(folder).includes("app.iso"), { timeout: 10_000 });
    rmSync(folder, { recursive: true });
  });

  test("brings a browser that forgot the slash to the listing", async () => {
    const tab = await open(`/obj/${at}/docs`);
    expect(await tab.evaluate("location.pathname")).toBe(`/obj/${at}/docs/`);
  });

  test.each([
    ["wide", WIDE],
    ["narrow", PHONE],
  ])("is browsed on the page, by keyboard, on a %s screen", async (_, size) => {
    const tab = await open(`/#/${at}/`, size);
    await tab.until(LISTED);
    for (const name of [IMG, `${SCRIPT[0]}/`, "docs/", "app.iso"])
      expect(await tab.text(".tree")).toContain(name);
    await expectHarmless(tab);
    await follow(tab, "docs/");
    await tab.until(`${LISTED} && document.querySelector(".breadcrumbs").innerText.includes("docs")`);
    await follow(tab, "rel");
    await tab.until(`${LISTED} && document.querySelector(".tree").innerText.includes("app.iso")`);
    await follow(tab, `${SCRIPT[0]}/`);
    await tab.until(`${LISTED} && document.querySelector(".breadcrumbs").innerText.includes("script")`);
    await follow(tab, SCRIPT[1]);
    await tab.until(`${LOOKED_UP} && document.querySelector(".versions") !== null`);
    expect(await tab.text("#lookup-result h3")).toBe(`${at}/${SCRIPT.join("/")}`);
    await expectHarmless(tab);
  });

  test("is found on the page without its slash too, and a problem is said in words", async () => {
    const tab = await open(`/#/${at}/docs`);
    await tab.until(LISTED);
    expect(await tab.text(".breadcrumbs")).toContain("docs");
    await tab.evaluate(`location.hash = "#/${at}/none/"`);
    await tab.until(`document.querySelector("#lookup-state").classList.contains("trouble")`);
    expect(await tab.text("#lookup-state")).toMatch(/no tree published here has .*none\//i);
    expect(await tab.text("#lookup-result")).toBe("");
  });

  test("has Versions that are compared: bytes shared, and how many nodes hold them", async () => {
    const tab = await open(`/#/${at}/app.iso`);
    await tab.until(LOOKED_UP);
    const rows = await tab.evaluate(
      `[...document.querySelectorAll(".versions tbody tr")].map(({ innerText }) => innerText)`,
    );
    const { percent } = await sharedOf(tab);
    expect(rows).toEqual([
      expect.stringMatching(
        new RegExp(`Version 2.*2\\.86 MiB.*, ${percent} %.*at least 3, typically 3.*online: at least 3`, "s"),
      ),
      expect.stringMatching(/Version 1.*5\.72 MiB.*the first Version.*at least 3/s),
    ]);
    await expectHarmless(tab);
    const narrow = await open(`/#/${at}/app.iso`, PHONE);
    await narrow.until(LOOKED_UP);
    await expectHarmless(narrow);
  });

  test.each([
    ["wide", WIDE],
    ["narrow", PHONE],
  ])(
    "shows a Version that was taken back as such, and the one before as the object, on a %s screen",
    async (_, size) => {
      const name = `taken-${size[0]}`;
      for (const content of ["one", "twotwo"])
        await publisher.publish(await publisher.writeFile("content", content), name);
      const by = ["--key", publisher.keyFile, "--author", publisher.author, "--reason", IMG];
      const removed = await publisher.holdfast(
        "remove",
        `${publisher.domain}/${name}`,
        "--all",
        ...by,
        "--dry-run",
      );
      expect(removed.stdout.trim().split("\n")).toHaveLength(2);
      const { stdout } = await publisher.holdfast("log", `${publisher.domain}/${name}`, "--json");
      const [{ version }] = JSON.parse(stdout);
      await publisher.holdfast("remove", `${publisher.domain}/${name}`, "--version", version, ...by);
      const tab = await open(`/#/${publisher.domain}/${name}`, size);
      await tab.until(LOOKED_UP);
      expect(await tab.text(".versions tbody")).toMatch(
        /Version 2, taken back.*cannot be told here.*Version 1/s,
      );
      expect(await tab.text("#lookup-result dl")).toContain("3 bytes");
      await expectHarmless(tab);
    },
  );

  /** By the Manifests of both Versions, compared here. */
  async function sharedOf(tab: Tab): Promise<{ percent: string }> {
    const links = await tab.evaluate(
      `[...document.querySelectorAll(".versions tbody th a[href*=version]")].map(({ href }) => href)`,
    );
    const pinned = (Array.isArray(links) ? links.map(String) : []).filter((href) =>
      href.includes("?version="),
    );
    const [now, then] = await Promise.all(
      pinned.map(async (url) => {
        const answer = await fetch(url, { headers: { Accept: REFERRAL_TYPE } });
        return parseManifest(decodeBase64(parseObjectReferral(await answer.json()).manifest));
      }),
    );
    if (now === undefined || then === undefined || !("chunks" in now))
      throw new TypeError("two Manifests of chunks");
    const known = new Set(namedHashes(then));
    const shared = now.chunks.filter(({ hash }) => known.has(hash)).reduce((sum, { size }) => sum + size, 0);
    expect(shared).toBeGreaterThan(0);
    // What is not all of it is not rounded up to all of it.
    const rounded = Math.round((shared / now.size) * 100);
    return { percent: rounded === 100 && shared < now.size ? "over 99" : String(rounded) };
  }

  test("has commands that a shell takes as they are meant, whatever the folder's name", async () => {
    const path = `${at}/docs/${FOLDER}`;
    const tab = await open(`/#/${path.split("/").map(encodeURIComponent).join("/")}/`);
    await tab.until(LISTED);
    const commands = await tab.evaluate(
      `[...document.querySelectorAll(".command pre")].map((pre) => pre.textContent)`,
    );
    const listing = await open(`/obj/${path.split("/").map(encodeURIComponent).join("/")}/`);
    const all = [...(Array.isArray(commands) ? commands : []), await listing.text("pre")].map(String);
    const folder = mkdtempSync(join(tmpdir(), "holdfast-tree-page-"));
    const echo = ["npx", "holdfast", "curl"].map((name) => `${name}() { printf '%s\\n' "$@"; }`).join("\n");
    const words = all.map((command) =>
      execFileSync("/bin/bash", ["-c", `${echo}\n${command}`], { cwd: folder, encoding: "utf8" }),
    );
    expect(words).toEqual([
      `holdfast\nls\n${path}\n--edge\n${network.edgeUrl}\n`,
      `holdfast\nget\n-r\n${path}\n--edge\n${network.edgeUrl}\n`,
      expect.stringMatching(/^-fsS\n-H\nAccept: application\/json\nhttp/),
      `ls\n${path}\nget\n-r\n${path}\n`,
    ]);
    expect(readdirSync(folder)).toEqual([]);
    rmSync(folder, { recursive: true });
  });
});
