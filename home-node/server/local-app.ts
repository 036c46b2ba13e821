// What the node says to its volunteer and to nobody else: the page at /, and all of /status. Who may ask is decided
// before a request comes here (local-request.ts); this app has no place in the node's public one, nor in the tunnel.

import { Hono } from "hono";
import { createMiddleware } from "hono/factory";
import type { Logger } from "pino";
import type { LocalNodeStatus } from "../../lib/node-status.ts";
import type { Clock } from "../clock.ts";
import { answerError } from "./problem-response.ts";
import { PAGE_POLICY, renderPage } from "./status-page.ts";

export interface LocalAppDeps {
  status: () => Promise<LocalNodeStatus>;
  clock: Pick<Clock, "now">;
  log: Logger;
}

export function createLocalApp({ status, clock, log }: LocalAppDeps): Hono {
  const app = new Hono()
    .use(keepToOurselves())
    .get("/", async (c) => c.html(renderPage(await status(), clock.now())))
    .get("/status", async (c) => c.json(await status()));
  app.onError((error) => answerError(error, log));
  return app;
}

/** No other site may read it, frame it, keep it or hear of its address. */
function keepToOurselves() {
  return createMiddleware(async (c, next) => {
    await next();
    const headers = {
      "Cache-Control": "no-store",
      "Content-Security-Policy": PAGE_POLICY,
      "Cross-Origin-Opener-Policy": "same-origin",
      "Cross-Origin-Resource-Policy": "same-origin",
      "Referrer-Policy": "no-referrer",
      "X-Content-Type-Options": "nosniff",
    };
    for (const [name, value] of Object.entries(headers)) c.res.headers.set(name, value);
  });
}
