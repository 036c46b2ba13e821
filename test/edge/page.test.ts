import { SELF } from "cloudflare:test";
import { expect, test } from "vitest";
import { EDGE } from "./test-node.ts";

const get = (path: string, headers: Record<string, string> = {}) => SELF.fetch(`${EDGE}${path}`, { headers });

/** The modules that a module imports, by their paths on the edge. */
function importsOf(script: string, path: string): string[] {
  return [...script.matchAll(/^(?:import|\} from|import .* from) .*"(\..*)";$/gm)].map(
    ([, specifier = ""]) => new URL(specifier, `${EDGE}${path}`).pathname,
  );
}

/** Every module that the page's script needs, itself included. */
async function modulesFrom(
  path: string,
  found = new Map<string, Response>(),
): Promise<Map<string, Response>> {
  if (found.has(path)) return found;
  const response = await get(path);
  found.set(path, response);
  for (const imported of importsOf(await response.clone().text(), path)) await modulesFrom(imported, found);
  return found;
}

test("the page's modules are all served as scripts, and loaded ahead by the page", async () => {
  const modules = await modulesFrom("/web/page.js");
  for (const response of modules.values()) {
    expect(response.status).toBe(200);
    expect(Object.fromEntries(response.headers)).toMatchObject({
      ...{ "content-type": "text/javascript; charset=utf-8", "x-content-type-options": "nosniff" },
      ...{ "cache-control": "no-cache", etag: expect.any(String) },
    });
  }
  const html = await (await get("/")).text();
  const named = [...html.matchAll(/"(\/web\/\w+\.js)"/g)].map(([, path]) => path);
  expect(named.toSorted()).toEqual([...modules.keys()].toSorted());
  expect(modules.size).toBeGreaterThan(10);
});

test("what a browser has of the page already is not sent again", async () => {
  for (const path of ["/", "/web/page.js", "/web/page.css", "/web/lookup.css"]) {
    const etag = (await get(path)).headers.get("etag") ?? "";
    const again = await get(path, { "if-none-match": etag });
    expect([again.status, await again.text()]).toEqual([304, ""]);
  }
});

test("nothing else is under /web", async () => {
  for (const path of ["/web/none.js", "/web/", "/web/index.html", "/page.js"])
    expect((await get(path)).status).toBe(404);
});
