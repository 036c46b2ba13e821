// An edge over https that sends whoever asks for a chunk to places of its choice: as a holder's own URL in what it says
// of holders, and again as a redirect. Of the chunk `n` it says that it is at place `n`.

import { execFile } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import type { IncomingMessage, ServerResponse } from "node:http";
import { createServer, type Server } from "node:https";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { hashBytes } from "../../lib/hash.ts";
import { parseLocateRequest } from "../../lib/wire/chunks.ts";
import { contactAt } from "../node/client-fixture.ts";

const run = promisify(execFile);

/** The bytes of chunk `n`. */
export function chunkBytes(n: number): Uint8Array<ArrayBuffer> {
  return new Uint8Array(new TextEncoder().encode(`chunk ${n}`));
}

export class HostileEdge {
  places: string[] = [];
  redirects = 0;
  readonly url: string;
  readonly #folder: string;
  readonly #server: Server;

  private constructor(url: string, folder: string, server: Server) {
    this.url = url;
    this.#folder = folder;
    this.#server = server;
    server.on("request", (request, response) => void this.#answer(request, response));
  }

  static async start(host: string): Promise<HostileEdge> {
    const folder = await mkdtemp(join(tmpdir(), "holdfast-hostile-"));
    const [key, cert] = [join(folder, "key"), join(folder, "cert")];
    const subject = ["-subj", `/CN=${host}`, "-addext", `subjectAltName=DNS:${host}`];
    const kind = [
      "-x509",
      "-newkey",
      "ec",
      "-pkeyopt",
      "ec_paramgen_curve:prime256v1",
      "-nodes",
      "-days",
      "2",
    ];
    await run("openssl", ["req", ...kind, ...subject, "-keyout", key, "-out", cert]);
    const server = createServer({ key: await readFile(key), cert: await readFile(cert) });
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    const { port } = server.address() as AddressInfo;
    return new HostileEdge(`https://${host}:${port}`, folder, server);
  }

  get certificateFile(): string {
    return join(this.#folder, "cert");
  }

  async stop(): Promise<void> {
    this.#server.closeAllConnections();
    this.#server.close();
    await rm(this.#folder, { recursive: true });
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const path = request.url ?? "";
    const places = new Map(this.places.map((place, n) => [hashBytes(chunkBytes(n)), { place, n }]));
    if (path === "/chunk/locate") return this.#locate(request, response, places);
    const [, hash = ""] = /^\/chunk\/([0-9a-f]{64})/.exec(path) ?? [];
    const found = [...places].find(([known]) => known === hash)?.[1];
    if (found === undefined) return void response.writeHead(404).end();
    if (request.url?.endsWith("?moved") === true) return void response.end(chunkBytes(found.n));
    this.redirects += 1;
    response.setHeader("Location", `${locationOf(found.place)}/chunk/${hash}?moved`);
    response.writeHead(307).end();
  }

  async #locate(
    request: IncomingMessage,
    response: ServerResponse,
    places: Map<string, { place: string }>,
  ): Promise<void> {
    const blocks: Buffer[] = [];
    for await (const block of request) blocks.push(block);
    const { chunks } = parseLocateRequest(JSON.parse(Buffer.concat(blocks).toString()));
    const contacts = await Promise.all(
      chunks.map((hash, i) => contactAt((places.get(hash)?.place ?? "").slice(0, 512), i + 1)),
    );
    const answer = {
      chunks: chunks.map((hash, i) => ({ hash, holders: contacts.slice(i, i + 1).map(({ id }) => id) })),
      nodes: contacts,
    };
    response.setHeader("Content-Type", "application/json");
    response.end(JSON.stringify(answer));
  }
}

/** As a header can carry it: Node sends no character beyond Latin-1, and no control character. */
function locationOf(place: string): string {
  return place.replace(/[^\x20-\x7e]/g, (character) => encodeURIComponent(character));
}
