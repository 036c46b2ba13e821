// What the node says to its volunteer and to nobody else: the page at /, and all of /status. Who may ask is decided
// before a request comes here (local-request.ts); this app has no place in the node's public one, nor in the tunnel.

import { Hono } from "hono";
import { createMiddleware } from "hono/factory";
import type { Logger } from "pino";
import { parseJson } from "../../lib/canonical-json.ts";
import { readBody } from "../../lib/fetch.ts";
import { type LocalNodeStatus, parseLeave, parsePause } from "../../lib/node-status.ts";
import type { Clock } from "../clock.ts";
import { answerError } from "./problem-response.ts";
import { PAGE_POLICY, renderPage } from "./status-page.ts";

const COMMAND_BYTES_MAX = 4096;

export interface LocalAppDeps {
  status: () => Promise<LocalNodeStatus>;
  /** Away until then; null: back. Throws `invalid-request`. */
  pause: (until: string | null) => Promise<void>;
  leave: (isLeaving: boolean) => Promise<void>;
  clock: Pick<Clock, "now">;
  log: Logger;
}

export function createLocalApp({ status, pause, leave, clock, log }: LocalAppDeps): Hono {
  const app = new Hono()
    .use(keepToOurselves())
    .get("/", async (c) => c.html(renderPage(await status(), clock.now())))
    .get("/status", async (c) => c.json(await status()))
    // By the socket only: the listener lets nobody do more than look.
    .post("/pause", async (c) => {
      await pause(parsePause(await readSmall(c.req.raw)).until);
      return c.json(await status());
    })
    .post("/leave", async (c) => {
      await leave(parseLeave(await readSmall(c.req.raw)).leaving);
      return c.json(await status());
    });
  app.onError((error) => answerError(error, log));
  return app;
}

/** Throws `body-too-large` or `invalid-request`. */
async function readSmall(request: Request): Promise<unknown> {
  const bytes = await readBody(request, COMMAND_BYTES_MAX);
  return parseJson(bytes, COMMAND_BYTES_MAX);
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
