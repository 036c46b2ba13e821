// One verifier in Node and in a real browser: lib/ed25519.ts as it stands, its types stripped, its imports mapped to the
// installed packages. Each runtime's WebCrypto alone is the control: without the pre-check they disagree.

import { readFile } from "node:fs/promises";
import { stripTypeScriptTypes } from "node:module";
import { join } from "node:path";
import { hexToBytes } from "@noble/hashes/utils.js";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { verifyEd25519 } from "../../lib/ed25519.ts";
import { type Browser, startBrowser } from "../e2e/page-browser.ts";
import { requirePrograms } from "../e2e/requires.ts";
import vectors from "../vectors/ed25519.json" with { type: "json" };
import edge from "../vectors/ed25519-edge.json" with { type: "json" };
import { closeAll, serve } from "./client-fixture.ts";

const { missing } = requirePrograms({ chromium: "chromium" });
const ROOT = join(import.meta.dirname, "..", "..");
const CASES = [...vectors.cases, ...edge.cases];
const PACKAGES = ["@noble/curves/", "@noble/hashes/"];

/** By each case's number: what the verifier says, and what WebCrypto alone says; null where it refuses the key. */
interface Verdicts {
  strict: boolean[];
  alone: (boolean | null)[];
}

/** Runs in either runtime; in the browser from its source text. */
async function judge(
  cases: { key: string; message: string; signature: string }[],
  verify: typeof verifyEd25519,
  fromHex: (text: string) => Uint8Array<ArrayBuffer>,
): Promise<Verdicts> {
  const verdicts: Verdicts = { strict: [], alone: [] };
  for (const one of cases) {
    const [key, message, signature] = [fromHex(one.key), fromHex(one.message), fromHex(one.signature)];
    verdicts.strict.push(await verify(key, message, signature));
    const alone = crypto.subtle
      .importKey("raw", key, "Ed25519", false, ["verify"])
      .then((imported) => crypto.subtle.verify("Ed25519", imported, signature, message))
      .catch(() => null);
    verdicts.alone.push(await alone);
  }
  return verdicts;
}

const PAGE = `<!doctype html><title>verdicts</title>
<script type="importmap">${JSON.stringify({
  imports: {
    "@scure/base": "/node_modules/@scure/base/index.js",
    ...Object.fromEntries(PACKAGES.map((name) => [name, `/node_modules/${name}`])),
  },
})}</script>
<script type="module">
  import { verifyEd25519 } from "/lib/ed25519.ts";
  import { hexToBytes } from "@noble/hashes/utils.js";
  const cases = await (await fetch("/cases")).json();
  ${judge.toString()}
  globalThis.verdicts = await judge(cases, verifyEd25519, hexToBytes);
  document.title = "done";
</script>`;

describe.skipIf(missing.length > 0)("one Ed25519 verifier", () => {
  let browser: Browser;
  let url: string;

  beforeAll(async () => {
    browser = await startBrowser();
    ({ url } = await serve(async (request, response) => {
      const { type, body } = await fileAt(new URL(request.url ?? "", "http://page").pathname);
      response.writeHead(200, { "content-type": type }).end(body);
    }));
  });

  afterAll(async () => {
    await browser.stop();
    await closeAll();
  });

  async function fileAt(path: string): Promise<{ type: string; body: string }> {
    if (path === "/") return { type: "text/html", body: PAGE };
    if (path === "/cases") return { type: "application/json", body: JSON.stringify(CASES) };
    const source = await readFile(join(ROOT, path), "utf8");
    return { type: "text/javascript", body: path.endsWith(".ts") ? stripTypeScriptTypes(source) : source };
  }

  async function inBrowser(): Promise<Verdicts> {
    const tab = await browser.open(400, 300);
    await tab.goto(`${url}/`);
    await tab.until(`document.title === "done"`);
    return (await tab.evaluate("verdicts")) as Verdicts;
  }

  test("gives one verdict on every vector in Node and in Chromium, where their WebCrypto does not", async () => {
    const node = await judge(CASES, verifyEd25519, (text) => Uint8Array.from(hexToBytes(text)));
    const chromium = await inBrowser();
    const wanted = CASES.map(({ valid }) => valid);
    const lax = ({ alone }: Verdicts) => alone.filter((verdict, i) => verdict === true && !wanted[i]).length;
    console.log(
      `${CASES.length} vectors: ${wanted.filter(Boolean).length} valid; wrongly accepted by WebCrypto alone: ` +
        `Node ${lax(node)}, Chromium ${lax(chromium)}; by the verifier: 0 and 0`,
    );
    expect(node.strict).toEqual(wanted);
    expect(chromium.strict).toEqual(wanted);
    for (const { alone } of [node, chromium]) {
      expect(alone.filter((_, i) => wanted[i])).toEqual(wanted.filter(Boolean));
    }
    expect(lax(node)).toBeGreaterThan(0);
  });
});
