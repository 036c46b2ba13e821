// An edge as a home node sees it: a WebSocket server that challenges and registers when the test says so, keeps what comes,
// and may open requests through the tunnel.

import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { json } from "node:stream/consumers";
import { WebSocket, WebSocketServer } from "ws";
import { encodeHash, type Hash, hashBytes, type NodeId } from "../../lib/hash.ts";
import {
  type ChallengeState,
  type EdgeFrame,
  formatFrame,
  type NodeFrame,
  PING,
  PONG,
  parseNodeFrame,
  type Registration,
  verifyRegistration,
} from "../../lib/registration.ts";
import { encodeFrame, type Frame, parseFrame } from "../../lib/tunnel/frames.ts";
import { TunnelOpener } from "../../lib/tunnel/opener.ts";
import type { Contact } from "../../lib/wire/nodes.ts";
import { type Cleanup, isoTime, type ManualClock, type TestNode, until } from "./home-node-fixture.ts";

/** Streams from here on are the opener's, those below the test's own. */
const OPENER_STREAM_MIN = 1000;

type Registered = Extract<EdgeFrame, { type: "registered" }>;

/** One accepted connection, and what came over it. */
export class Connection {
  readonly socket: WebSocket;
  readonly path: string;
  readonly texts: string[] = [];
  readonly challenge: ChallengeState;
  /** Every frame of the tunnel that came. */
  readonly tunnelled: Frame[] = [];
  /** Sends requests through the tunnel. */
  readonly opener: TunnelOpener;
  closed: { code: number; reason: string } | null = null;
  answersPings = true;

  constructor(socket: WebSocket, path: string, challenge: ChallengeState) {
    this.socket = socket;
    this.path = path;
    this.challenge = challenge;
    this.opener = new TunnelOpener({
      send: (message) => socket.readyState === WebSocket.OPEN && socket.send(message),
      firstStream: OPENER_STREAM_MIN,
    });
    socket.on("message", (data: Buffer, isBinary) =>
      isBinary ? this.#onTunnelled(data) : this.#onText(data.toString()),
    );
    socket.on("close", (code, reason) => {
      this.closed = { code, reason: reason.toString() };
      this.opener.close("the node's connection is gone");
    });
  }

  send(frame: EdgeFrame): void {
    this.socket.send(formatFrame(frame));
  }

  sendFrame(frame: Frame): void {
    this.socket.send(encodeFrame(frame));
  }

  sendChallenge(change: Partial<Extract<EdgeFrame, { type: "challenge" }>> = {}): void {
    const { edge: id, nonce, epoch, expiresMs } = this.challenge;
    this.send({ type: "challenge", edge: id, nonce, epoch, expires: isoTime(expiresMs), ...change });
  }

  /** Returns when both sides have handled what was under way, and what they answered to it. */
  async settle(): Promise<void> {
    for (let i = 0; i < 2 && this.closed === null; i++) {
      const over = new AbortController();
      const { signal } = over;
      this.socket.ping();
      await Promise.race([once(this.socket, "pong", { signal }), once(this.socket, "close", { signal })]);
      over.abort();
    }
  }

  frames(): NodeFrame[] {
    return this.texts.filter((text) => text !== PING).map(parseNodeFrame);
  }

  async registration(): Promise<Extract<NodeFrame, { type: "register" }>> {
    await until("a register frame comes", () => this.frames().length > 0);
    const [frame] = this.frames();
    if (frame?.type !== "register") throw new Error("expected a register frame");
    return frame;
  }

  /** Challenges the node, verifies its answer and registers it. */
  async register(contacts: Contact[] = [], answer: Partial<Registered> = {}): Promise<Registration> {
    this.sendChallenge();
    const { body } = await verifyRegistration(
      await this.registration(),
      this.challenge,
      this.challenge.expiresMs,
    );
    this.send({ type: "registered", direct: true, reason: "", contacts, ...answer });
    return body;
  }

  #onTunnelled(message: Buffer): void {
    const frame = parseFrame(message);
    this.tunnelled.push(frame);
    if (frame.stream >= OPENER_STREAM_MIN) this.opener.receive(message);
  }

  #onText(text: string): void {
    this.texts.push(text);
    if (text === PING && this.answersPings) this.socket.send(PONG);
  }
}

export class Edge {
  readonly id: Hash;
  readonly connections: Connection[] = [];
  readonly #clock: ManualClock;
  url = "";
  /** Answers what is posted to it; what throws is answered by 500. */
  answer: (path: string, body: unknown) => Promise<unknown> = async () => ({});

  private constructor(clock: ManualClock, id: Hash) {
    this.#clock = clock;
    this.id = id;
  }

  static async start(cleanup: Cleanup, clock: ManualClock, id = randomHash()): Promise<Edge> {
    const edge = new Edge(clock, id);
    const server = createServer((request, response) => void edge.#reply(request, response));
    const sockets = new WebSocketServer({ server, perMessageDeflate: true });
    sockets.on("connection", (socket, request) => edge.#accept(socket, request.url ?? ""));
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    cleanup.add(async () => {
      for (const client of sockets.clients) client.terminate();
      sockets.close();
      server.close();
      server.closeAllConnections();
    });
    edge.url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    return edge;
  }

  /** The next connection that is made, or has been made since the last call. */
  async connection(index: number): Promise<Connection> {
    await until(`connection ${index} is made`, () => this.connections.length > index);
    const connection = this.connections[index];
    if (connection === undefined) throw new Error("there is no such connection");
    return connection;
  }

  async #reply(request: IncomingMessage, response: ServerResponse): Promise<void> {
    try {
      const answer = await this.answer(request.url ?? "", await json(request));
      response.setHeader("Content-Type", "application/json").end(JSON.stringify(answer));
    } catch {
      response.writeHead(500).end("no");
    }
  }

  #accept(socket: WebSocket, path: string): void {
    const node = hashBytes(new Uint8Array()) as NodeId;
    const challenge = {
      node,
      edge: this.id,
      origin: this.url,
      nonce: randomHash(),
      epoch: this.connections.length + 1,
    };
    this.connections.push(
      new Connection(socket, path, { ...challenge, expiresMs: this.#clock.now() + 60_000 }),
    );
  }
}

export function randomHash(): Hash {
  return encodeHash(new Uint8Array(randomBytes(32)));
}

export async function stateOf(node: TestNode): Promise<string> {
  return (await node.node.status()).edges[0]?.state ?? "";
}

export async function untilState(node: TestNode, state: string): Promise<void> {
  let now = "";
  await until(`the link is ${state}`, () => {
    void stateOf(node).then((found) => {
      now = found;
    });
    return now === state;
  });
}

export async function untilClosed(connection: Connection): Promise<{ code: number; reason: string }> {
  await until("the connection is closed", () => connection.closed !== null);
  return connection.closed ?? { code: 0, reason: "" };
}
