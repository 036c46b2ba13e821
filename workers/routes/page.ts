// GET /: the web page, and under /web/ its style and the modules of its script, as the bundle carries them.

import { Hono } from "hono";
import { etag } from "hono/etag";
import { HoldfastError } from "../../lib/error.ts";
import commands from "../../web/commands.js";
import domain from "../../web/domain.js";
import edge from "../../web/edge.js";
import elements from "../../web/elements.js";
import format from "../../web/format.js";
import hashes from "../../web/hashes.js";
import holders from "../../web/holders.js";
import html from "../../web/index.html";
import lookupCss from "../../web/lookup.css";
import lookup from "../../web/lookup.js";
import map from "../../web/map.js";
import names from "../../web/names.js";
import network from "../../web/network.js";
import object from "../../web/object.js";
import pageCss from "../../web/page.css";
import entry from "../../web/page.js";
import tree from "../../web/tree.js";
import versions from "../../web/versions.js";
import type { AppEnv } from "../app.ts";

const POLICY =
  "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; img-src 'self' data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";
const COMMON = {
  "Cache-Control": "no-cache",
  "X-Content-Type-Options": "nosniff",
  "Content-Security-Policy": POLICY,
  // A page of a stranger's at /obj, or elsewhere, gets no handle on this one, by whichever of them the other was opened.
  "Cross-Origin-Opener-Policy": "same-origin",
  "Cross-Origin-Resource-Policy": "same-origin",
  "Referrer-Policy": "no-referrer",
};
const modules = Object.entries({
  commands,
  domain,
  edge,
  elements,
  format,
  hashes,
  holders,
  lookup,
  map,
  names,
  network,
  object,
  tree,
  versions,
  page: entry,
});
interface PageFile {
  text: string;
  type: string;
}

/** By the file's name. */
const files = new Map<string, PageFile>([
  ["page.css", { text: pageCss, type: "text/css; charset=utf-8" }],
  ["lookup.css", { text: lookupCss, type: "text/css; charset=utf-8" }],
  ...modules.map(([name, text]): [string, PageFile] => [
    `${name}.js`,
    { text, type: "text/javascript; charset=utf-8" },
  ]),
]);

export const page = new Hono<AppEnv>()
  .get("/", etag(), (c) => c.body(html, 200, { ...COMMON, "Content-Type": "text/html; charset=utf-8" }))
  .get("/web/:file", etag(), (c) => {
    const file = files.get(c.req.param("file"));
    if (file === undefined) throw new HoldfastError("not-found", `there is nothing at ${c.req.path}`);
    return c.body(file.text, 200, { ...COMMON, "Content-Type": file.type });
  });
