// GET /: the web page, as three small files that the bundle carries.

import { Hono } from "hono";
import html from "../../web/index.html";
import css from "../../web/page.css";
import script from "../../web/page.js";
import type { AppEnv } from "../app.ts";

const POLICY =
  "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; img-src 'self' data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";
const COMMON = {
  "Cache-Control": "no-cache",
  "X-Content-Type-Options": "nosniff",
  "Content-Security-Policy": POLICY,
};

export const page = new Hono<AppEnv>()
  .get("/", (c) => c.body(html, 200, { ...COMMON, "Content-Type": "text/html; charset=utf-8" }))
  .get("/page.css", (c) => c.body(css, 200, { ...COMMON, "Content-Type": "text/css; charset=utf-8" }))
  .get("/page.js", (c) =>
    c.body(script, 200, { ...COMMON, "Content-Type": "text/javascript; charset=utf-8" }),
  );
