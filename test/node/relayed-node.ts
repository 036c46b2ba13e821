// A node behind NAT as a relay sees it: it registers as a real one does unless the test says otherwise, answers what comes
// through the tunnel as the test says, and keeps all that arrived.

import { once } from "node:events";
import { WebSocket } from "ws";
import type { Hash, NodeId } from "../../lib/hash.ts";
import { nodeIdOf } from "../../lib/openssh-key.ts";
import {
  type Challenge,
  type EdgeFrame,
  formatFrame,
  PONG,
  parseEdgeFrame,
  type Registration,
  registrationKind,
} from "../../lib/registration.ts";
import type { StatementSigner } from "../../lib/sshsig.ts";
import { signStatement } from "../../lib/statement.ts";
import { encodeFrame, type Frame, parseFrame, type ResponseHead } from "../../lib/tunnel/frames.ts";
import { formatSigned } from "../../lib/wire/signed.ts";
import { type Cleanup, createSigner, type TestNode, until } from "./home-node-fixture.ts";

export class RelayedNode {
  readonly signer: StatementSigner;
  readonly id: NodeId;
  readonly relay: TestNode;
  /** Control frames that came. */
  readonly frames: EdgeFrame[] = [];
  readonly tunnelled: Frame[] = [];
  pongs = 0;
  closed: { code: number; reason: string } | null = null;
  #socket: WebSocket | null = null;
  #onRequest: (stream: number) => void = () => undefined;

  private constructor(relay: TestNode, signer: StatementSigner) {
    this.relay = relay;
    this.signer = signer;
    this.id = nodeIdOf(signer.key);
  }

  static async create(relay: TestNode, cleanup: Cleanup, signer?: StatementSigner): Promise<RelayedNode> {
    const node = new RelayedNode(relay, signer ?? (await createSigner()));
    cleanup.add(async () => node.#socket?.terminate());
    return node;
  }

  static async registered(relay: TestNode, cleanup: Cleanup): Promise<RelayedNode> {
    const node = await RelayedNode.create(relay, cleanup);
    await node.join();
    return node;
  }

  /** Connects, as from `address`, a proxy says. */
  async connect(address?: string): Promise<Challenge> {
    const headers = address === undefined ? {} : { "X-Forwarded-For": address };
    const socket = new WebSocket(`${this.relay.url.replace("http", "ws")}/node?id=${this.id}`, { headers });
    socket.on("message", (data: Buffer, isBinary) => this.#receive(data, isBinary));
    socket.on("close", (code, reason) => {
      this.closed = { code, reason: reason.toString() };
    });
    this.#socket = socket;
    this.closed = null;
    await once(socket, "open");
    await until("a frame comes", () => this.frames.length > 0);
    const [frame] = this.frames;
    if (frame?.type !== "challenge")
      throw new Error(`expected a challenge, and got ${JSON.stringify(frame)}`);
    return frame;
  }

  async join(address?: string): Promise<void> {
    this.frames.length = 0;
    this.send(await this.answer(await this.connect(address)));
    await this.heard("registered");
  }

  /** The frame by which the node answers a challenge, signed. */
  async answer(challenge: Challenge, changes: Partial<Registration> = {}): Promise<string> {
    const body: Registration = {
      ...{ type: "holdfast-registration-1", node: this.id, edge: challenge.edge, origin: this.relay.url },
      ...{ nonce: challenge.nonce, epoch: challenge.epoch, time: new Date(0).toISOString(), url: null },
      ...{ pledge: { bytes: 0, uploadRate: null, downloadRate: null, domains: [] }, freeBytes: 0 },
      ...{ software: "test/1", ...changes },
    };
    const registration = formatSigned(await signStatement(registrationKind, body, this.signer));
    return formatFrame({ type: "register", registration });
  }

  send(message: string | Uint8Array): void {
    this.#socket?.send(message);
  }

  sendFrame(frame: Frame): void {
    this.send(encodeFrame(frame));
  }

  close(): void {
    this.#socket?.close();
  }

  /** Waits for a control frame of this type. */
  async heard(type: EdgeFrame["type"]): Promise<EdgeFrame> {
    await until(`${type} is heard`, () => this.frames.some((frame) => frame.type === type));
    const frame = this.frames.find((heard) => heard.type === type);
    if (frame === undefined) throw new Error("there is no such frame");
    return frame;
  }

  /** The code by which it was refused, and the one by which its connection was closed. */
  async refusal(): Promise<string> {
    const frame = await this.heard("refused");
    return `${frame.type === "refused" ? frame.code : ""} ${(await this.untilClosed()).code}`;
  }

  async untilClosed(): Promise<{ code: number; reason: string }> {
    await until("the connection is closed", () => this.closed !== null);
    return this.closed ?? { code: 0, reason: "" };
  }

  /** Does what the test says with each request. */
  onRequest(handle: (stream: number) => void): void {
    this.#onRequest = handle;
  }

  /** Answers every request with this head, and this body where it has one. */
  answering(head: Partial<ResponseHead>, body: Uint8Array): void {
    this.onRequest((stream) => {
      const whole = { status: 200, headers: [], body: true, ...head };
      this.sendFrame({ type: "response", stream, head: whole });
      if (!whole.body) return;
      if (body.length > 0) this.sendFrame({ type: "data", stream, bytes: body });
      this.sendFrame({ type: "end", stream });
    });
  }

  /** Frames of one type that came through the tunnel. */
  came<T extends Frame["type"]>(type: T): Extract<Frame, { type: T }>[] {
    return this.tunnelled.filter((frame): frame is Extract<Frame, { type: T }> => frame.type === type);
  }

  via(path: string, init?: RequestInit): Promise<Response> {
    return viaOf(this.relay, this.id, path, init);
  }

  #receive(data: Buffer, isBinary: boolean): void {
    if (!isBinary && data.toString() === PONG) this.pongs += 1;
    else if (!isBinary) this.frames.push(parseEdgeFrame(data.toString()));
    else this.#receiveTunnelled(parseFrame(data));
  }

  #receiveTunnelled(frame: Frame): void {
    this.tunnelled.push(frame);
    if (frame.type === "request") this.#onRequest(frame.stream);
  }
}

export function viaOf(
  relay: Pick<TestNode, "url">,
  id: Hash,
  path: string,
  init?: RequestInit,
): Promise<Response> {
  return fetch(`${relay.url}/via/${id}${path}`, init);
}
