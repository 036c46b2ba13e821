// Something bad between a real home node and everyone who asks it: in front of its listener, and on its WebSocket to the
// edge. It passes all on, counts uploads, and answers for chunks as its plot says, which can change while it runs.

import { once } from "node:events";
import {
  createServer,
  request as httpRequest,
  type IncomingMessage,
  type Server,
  type ServerResponse,
} from "node:http";
import { join } from "node:path";
import type { Duplex } from "node:stream";
import { WebSocketServer } from "ws";
import { Child } from "../../cli/local/child.ts";
import { freePort } from "../../cli/local/free-port.ts";
import type { LocalNetwork } from "../../cli/local/network.ts";
import { FRAME_BYTES_MAX } from "../../lib/tunnel/frames.ts";
import { relayLink } from "./bad-tunnel.ts";
import { flipped, Plot, SURPLUS, type Way } from "./plot.ts";

const CHUNK_PATH = /^\/chunk\/([0-9a-f]{64})$/;
const NODE_PORT_OFFSET = 30;
/** As long as home nodes keep theirs. */
const KEEP_ALIVE_MS = 30_000;

/** An upload that passed: where `status` is null, the answer did not. */
export interface Upload {
  hash: string;
  bytes: number;
  status: number | null;
}

export interface BadHolderOptions {
  network: LocalNetwork;
  /** Unique in the network, from 0. */
  number: number;
  /** Without one, the node is reached through the edge only. */
  listener: boolean;
  /** What it is pledged to: domains separated by commas, or all. */
  domains: string;
  /** What it does wrong; nothing, by default. */
  plot?: Plot;
}

export class BadHolder {
  readonly name: string;
  readonly dir: string;
  /** Where it listens. */
  readonly url: string;
  readonly uploads: Upload[] = [];
  /** Bytes of chunks given to readers at its listener. */
  servedBytes = 0;
  /** The node behind; may be killed and started again. */
  readonly node: Child;
  readonly #plot: Plot;
  readonly #server: Server;
  readonly #sockets = new Set<Duplex>();
  readonly #links = new WebSocketServer({
    noServer: true,
    perMessageDeflate: false,
    maxPayload: FRAME_BYTES_MAX,
  });
  readonly #edgeUrl: string;
  readonly #nodeUrl: string;

  private constructor(server: Server, ports: { own: number; node: number }, options: BadHolderOptions) {
    const { network, number, listener, domains } = options;
    this.name = `bad-${number}`;
    this.dir = join(network.dir, "nodes", this.name);
    this.#edgeUrl = network.edgeUrl;
    this.#nodeUrl = `http://127.0.0.1:${ports.node}`;
    this.#server = server;
    this.#plot = options.plot ?? new Plot();
    this.url = `http://127.0.0.1:${ports.own}`;
    this.node = new Child({
      name: this.name,
      command: process.execPath,
      args: [
        ...[join(import.meta.dirname, "../../cli/main.ts"), "node", "run", "--dir", this.dir],
        ...["--edge", this.url, "--doh", network.dohUrl, "--pledge", "5GB", "--domains", domains],
        ...(listener ? ["--listen", `127.0.0.1:${ports.node}`, "--url", this.url] : ["--no-listen"]),
      ],
      logFile: join(network.dir, "logs", `${this.name}.log`),
    });
    server.on("request", (request, response) => this.#onRequest(request, response));
    server.on("upgrade", (request, socket, head) => this.#onUpgrade(request, socket, head));
    server.on("connection", (socket) => {
      this.#sockets.add(socket);
      socket.once("close", () => this.#sockets.delete(socket));
    });
  }

  /** Starts the node and what stands before it. It is registered some moments later. */
  static async start(options: BadHolderOptions): Promise<BadHolder> {
    const server = createServer({ keepAliveTimeout: KEEP_ALIVE_MS });
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    const address = server.address();
    if (address === null || typeof address === "string") throw new TypeError("expected a TCP address");
    const edgePort = Number(new URL(options.network.edgeUrl).port);
    const node = await freePort(edgePort + NODE_PORT_OFFSET + options.number);
    const holder = new BadHolder(server, { own: address.port, node }, options);
    holder.node.start();
    return holder;
  }

  async stop(): Promise<void> {
    await this.node.stop();
    for (const socket of this.#sockets) socket.destroy();
    this.#server.close();
  }

  #onRequest(request: IncomingMessage, response: ServerResponse): void {
    const [, hash] = CHUNK_PATH.exec(request.url ?? "") ?? [];
    const isRead = hash !== undefined && request.method === "GET";
    const plan = isRead ? this.#plot.take(hash, "listener") : null;
    const passing =
      isRead && plan !== null
        ? this.#misbehave(plan.way, { hash, other: plan.other }, response)
        : this.#passOn(request, response, hash);
    passing.catch(() => response.destroy());
  }

  async #passOn(request: IncomingMessage, response: ServerResponse, hash: string | undefined): Promise<void> {
    const { method, headers } = request;
    const upload = hash !== undefined && method === "PUT" ? this.#beginUpload(hash, request) : null;
    // A connection of its own: a kept one may be closed just as it is used, which would be nobody's doing but ours.
    const asking = httpRequest(`${this.#nodeUrl}${request.url}`, { method, headers, agent: false });
    request.on("aborted", () => asking.destroy());
    request.pipe(asking);
    const [answer] = (await once(asking, "response")) as [IncomingMessage];
    if (upload !== null) upload.status = answer.statusCode ?? null;
    response.writeHead(answer.statusCode ?? 502, answer.headers);
    answer.on("error", () => response.destroy());
    if (hash !== undefined && method === "GET" && answer.statusCode === 200) {
      answer.on("data", (block: Buffer) => {
        this.servedBytes += block.length;
      });
    }
    answer.pipe(response);
  }

  #beginUpload(hash: string, request: IncomingMessage): Upload {
    const upload: Upload = { hash, bytes: 0, status: null };
    this.uploads.push(upload);
    request.on("data", (block: Buffer) => {
      upload.bytes += block.length;
    });
    return upload;
  }

  async #misbehave(
    way: Way,
    { hash, other }: { hash: string; other: string },
    response: ServerResponse,
  ): Promise<void> {
    const bytes = await this.#bytesOf(hash);
    const half = bytes.subarray(0, bytes.length >> 1);
    const { socket } = response;
    if (socket === null) return;
    switch (way) {
      case "flips a bit":
        return answerWhole(response, flipped(bytes));
      case "truncates":
        return void socket.end(Buffer.concat([headOf(bytes.length), half]));
      case "truncates, and declares what it sends":
        return answerWhole(response, bytes.subarray(0, -1));
      case "extends, and declares the chunk":
        return void socket.write(Buffer.concat([headOf(bytes.length), bytes, SURPLUS]));
      case "extends, and declares what it sends":
        return answerWhole(response, Buffer.concat([bytes, SURPLUS]));
      case "swaps in another chunk":
        return answerWhole(response, await this.#bytesOf(other));
      case "is silent":
        return;
      case "stalls midway":
        return void socket.write(Buffer.concat([headOf(bytes.length), half]));
      case "refuses":
        return void socket.destroy();
      case "is busy":
        return void response.writeHead(503, { "content-type": "text/plain" }).end("come back later");
      case "vanishes midway":
        socket.write(Buffer.concat([headOf(bytes.length), half]), () => socket.destroy());
    }
  }

  async #bytesOf(hash: string): Promise<Buffer> {
    const answer = await fetch(`${this.#nodeUrl}/chunk/${hash}`);
    return Buffer.from(await answer.arrayBuffer());
  }

  /** The node's connection to the edge, with a pair of hands on it. */
  #onUpgrade(request: IncomingMessage, socket: Duplex, head: Buffer): void {
    const url = `${this.#edgeUrl.replace(/^http/, "ws")}${request.url}`;
    this.#links.handleUpgrade(request, socket, head, (node) =>
      relayLink(node, url, request.headers.host ?? "", this.#plot),
    );
  }
}

function answerWhole(response: ServerResponse, bytes: Uint8Array): void {
  response
    .writeHead(200, { "content-type": "application/octet-stream", "content-length": bytes.length })
    .end(bytes);
}

function headOf(declaredBytes: number): Buffer {
  return Buffer.from(
    `HTTP/1.1 200 OK\r\nContent-Type: application/octet-stream\r\nContent-Length: ${declaredBytes}\r\n\r\n`,
  );
}
