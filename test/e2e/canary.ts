// Where hostile content tells that it ran, and a plain web server beside it: the same bytes in the same types, with none
// of the headers that keep them from running.

import { once } from "node:events";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";

/** One message of a payload that ran. */
export interface Sign {
  payload: string;
  /** What it could do: `script`, `cookie`, `storage`, `fetch`, `opener`, `service-worker`. */
  what: string;
  /** The origin that the browser gives it, `null` for an opaque one; undefined where the browser does not say. */
  origin: string | undefined;
}

/** Two servers of one machine, at two origins. */
export class Canary {
  readonly signs: Sign[] = [];
  readonly #pages = new Map<string, { type: string; body: string | Uint8Array }>();
  readonly #canary = createServer((request, response) => {
    const url = new URL(request.url ?? "", "http://canary");
    const payload = url.searchParams.get("payload");
    if (url.pathname === "/ran" && payload !== null) {
      const what = url.searchParams.get("what") ?? "";
      this.signs.push({ payload, what, origin: request.headers.origin });
    }
    response.writeHead(200, { "Content-Type": "text/html" }).end("<title>canary</title>");
  });
  readonly #plain = createServer((request, response) => {
    const page = this.#pages.get(decodeURI(new URL(request.url ?? "", "http://plain").pathname));
    if (page === undefined) return response.writeHead(404).end();
    return response.writeHead(200, { "Content-Type": page.type }).end(page.body);
  });
  url = "";
  plainUrl = "";

  async start(): Promise<void> {
    this.url = await listen(this.#canary);
    this.plainUrl = await listen(this.#plain);
  }

  async stop(): Promise<void> {
    for (const server of [this.#canary, this.#plain]) {
      server.closeAllConnections();
      server.close();
      await once(server, "close");
    }
  }

  /** Adds what the plain server has at a path. */
  serve(path: string, type: string, body: string | Uint8Array): void {
    this.#pages.set(path, { type, body });
  }

  /** What was told since the last call. */
  take(): Sign[] {
    return this.signs.splice(0);
  }
}

async function listen(server: Server): Promise<string> {
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  return `http://127.0.0.1:${port}`;
}
