// A web site of somebody else's: pages at an origin that is not the edge's.

import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";

export class ForeignSite {
  /** Paths that were asked for, but for the icon that browsers look for. */
  readonly asked: string[] = [];
  /** Without a slash at its end. */
  url = "";
  readonly #pages = new Map<string, string>();
  readonly #server = createServer((request, response) => {
    const path = request.url ?? "";
    if (path === "/favicon.ico") return response.writeHead(204).end();
    this.asked.push(path);
    const page = this.#pages.get(path);
    response.writeHead(page === undefined ? 404 : 200, { "Content-Type": "text/html; charset=utf-8" });
    return response.end(page);
  });

  async start(): Promise<void> {
    this.#server.listen(0, "127.0.0.1");
    await once(this.#server, "listening");
    const { port } = this.#server.address() as AddressInfo;
    this.url = `http://127.0.0.1:${port}`;
  }

  async stop(): Promise<void> {
    this.#server.closeAllConnections();
    this.#server.close();
    await once(this.#server, "close");
  }

  /** Adds a page; gives its URL. */
  add(path: string, html: string): string {
    this.#pages.set(path, html);
    return `${this.url}${path}`;
  }
}
