// A web site as a folder of objects, in a real browser. /obj answers with a CSP sandbox: what a page shows and where
// its links lead works, scripts and forms do not. And a page elsewhere that takes its parts from /obj.

import { mkdir, readFile, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { afterAll, beforeAll, describe, expect, inject, test, vi } from "vitest";
import { type Browser, startBrowser, type Tab } from "../page-browser.ts";
import { publishTree } from "../publish-tree.ts";
import { Publisher } from "../publisher.ts";
import { requirePrograms } from "../requires.ts";
import { ForeignSite } from "./foreign-site.ts";
import { SITE_TITLE, siteFiles, TOOL } from "./site-files.ts";

const network = inject("network");
const { missing } = requirePrograms({ chromium: "chromium" });
/** Long enough for a browser to do what it must not. */
const QUIET_MS = 500;
const WAIT_MS = 10_000;

describe.skipIf(missing.length > 0)("a site at /obj", () => {
  let publisher: Publisher;
  let browser: Browser;
  let elsewhere: ForeignSite;
  let site: string;
  let tab: Tab;

  beforeAll(async () => {
    publisher = await Publisher.create(network);
    elsewhere = new ForeignSite();
    await elsewhere.start();
    site = publisher.objectUrl("site/");
    await publishTree(publisher, await writeSite(), "site");
    browser = await startBrowser();
    tab = await browser.open(800, 700);
    await tab.goto(site);
  });

  afterAll(async () => {
    await browser.stop();
    await elsewhere.stop();
  });

  async function writeSite(): Promise<string> {
    const folder = join(publisher.folder, "site");
    for (const [path, content] of Object.entries(siteFiles(elsewhere.url))) {
      await mkdir(dirname(join(folder, path)), { recursive: true });
      await writeFile(join(folder, path), content);
    }
    return folder;
  }

  const styleOf = (selector: string, property: string) =>
    tab.evaluate(`getComputedStyle(document.querySelector("${selector}")).${property}`);
  const widthOf = (selector: string) =>
    tab.evaluate(`document.querySelector("${selector}").getBoundingClientRect().width`);

  test("shows its styles, images and fonts", async () => {
    expect(await styleOf("h1", "color")).toBe("rgb(0, 90, 156)");
    expect(await styleOf("body", "backgroundColor")).toBe("rgb(255, 250, 230)"); // an imported style
    expect(await tab.evaluate(`[logo.naturalWidth, shared.naturalWidth]`)).toEqual([80, 80]);
    await tab.evaluate("document.fonts.ready.then(() => true)");
    expect(await widthOf("#box")).toBe(160);
    expect(await tab.text("h1")).toBe("Grüße aus lauter Dateien");
  });

  test("runs no script", async () => {
    expect(await tab.evaluate("document.title")).toBe(SITE_TITLE);
    expect(await tab.text("#said")).toBe("");
    expect(await tab.text("#noscript")).toBe("Without scripts.");
    expect(tab.consoleErrors.join()).toContain("the 'allow-scripts' permission is not set");
  });

  test("has an origin of its own, and nothing is kept for it", async () => {
    expect(await tab.evaluate("self.origin")).toBe("null");
    const attempt = (expression: string) =>
      `(() => { try { return ${expression}; } catch (error) { return error.name; } })()`;
    expect(await tab.evaluate(attempt("document.cookie"))).toBe("SecurityError");
    expect(await tab.evaluate(attempt("localStorage.length"))).toBe("SecurityError");
  });

  test("leads from page to page, and to a folder's index", async () => {
    await tab.click("#about");
    await tab.until(`location.href === "${site}about/" && document.readyState === "complete"`);
    expect(await styleOf("h1", "color")).toBe("rgb(0, 90, 156)");
    await tab.click("#home");
    await tab.until(`location.href === "${site}" && document.readyState === "complete"`);
  });

  test("may be all of a domain", async () => {
    const root = publisher.objectUrl("");
    expect((await fetch(root)).status).toBe(404);
    await publisher.publish(await publisher.writeFile("index.html", "<h1>Root</h1>"), "index.html");
    const response = await fetch(root);
    expect(response.headers.get("Content-Type")).toBe("text/html");
    expect(await response.text()).toBe("<h1>Root</h1>");
  });

  test("does nothing for links that are scripts", async () => {
    for (const link of ["#script", "#script-window"]) await tab.click(link);
    await new Promise((resolve) => setTimeout(resolve, QUIET_MS));
    expect(elsewhere.asked).toEqual([]);
  });

  test("sends no form", async () => {
    await tab.click("#send");
    await new Promise((resolve) => setTimeout(resolve, QUIET_MS));
    expect(elsewhere.asked).toEqual([]);
    expect(tab.consoleErrors.join()).toContain("the 'allow-forms' permission is not set");
  });

  test("lets a link download a file", async () => {
    const downloads = join(publisher.folder, "downloads");
    await tab.send("Browser.setDownloadBehavior", { behavior: "allow", downloadPath: downloads });
    await tab.click("#download");
    await vi.waitFor(async () =>
      expect(TOOL.equals(await readFile(join(downloads, "tool.tar.gz")))).toBe(true),
    );
  });

  test("lets a link open a window, which is not in the sandbox", async () => {
    elsewhere.add("/window", `<script>fetch("/script-in-window")</script>`);
    await tab.click("#window");
    await vi.waitFor(() => expect(elsewhere.asked).toEqual(["/window", "/script-in-window"]), WAIT_MS);
  });

  test("goes nowhere by itself", async () => {
    await tab.goto(`${site}moved.html`);
    await new Promise((resolve) => setTimeout(resolve, QUIET_MS));
    expect(await tab.text("#moved")).toBe("It is there now.");
  });

  test("gives a page elsewhere its modules, WebAssembly and data", async () => {
    const script = `import greeting from "${site}files/greeting.mjs";
      const wasm = await WebAssembly.instantiateStreaming(fetch("${site}files/empty.wasm"));
      const text = await (await fetch("${site}assets/base.css")).text();
      document.title = [greeting, wasm.instance instanceof WebAssembly.Instance, text.slice(0, 4)].join();`;
    const guest = await browser.open(400, 300);
    await guest.goto(elsewhere.add("/guest", `<script type="module">${script}</script>`));
    await guest.until(`document.title !== ""`);
    expect(await guest.evaluate("document.title")).toBe("hello,true,body");
    expect(guest.consoleErrors).toEqual([]);
  });
});
