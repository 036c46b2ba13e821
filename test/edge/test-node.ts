// A home node's side of its link to the edge, for tests: it registers as a real one does, answers what comes through the
// tunnel as the test says, and keeps all that arrived.

import { SELF } from "cloudflare:test";
import { randomBytes } from "@noble/hashes/utils.js";
import { expect, vi } from "vitest";
import { importSigner } from "../../lib/ed25519.ts";
import type { NodeId } from "../../lib/hash.ts";
import type { NodeRecord } from "../../lib/node-record.ts";
import { nodeIdOf } from "../../lib/openssh-key.ts";
import {
  type Challenge,
  CLOSE_REFUSED,
  type EdgeFrame,
  formatFrame,
  PONG,
  parseEdgeFrame,
  type Registration,
  registrationKind,
} from "../../lib/registration.ts";
import { createStatementSigner, type StatementSigner } from "../../lib/sshsig.ts";
import { signStatement } from "../../lib/statement.ts";
import { type AcceptedRequest, type Answer, TunnelAcceptor } from "../../lib/tunnel/acceptor.ts";
import { encodeFrame, type Frame, parseFrame } from "../../lib/tunnel/frames.ts";
import { formatSigned } from "../../lib/wire/signed.ts";

/** The edge under test, as nodes and readers dial it. */
export const EDGE = "http://edge.test";
const PATIENCE = { timeout: 5000, interval: 10 };

/** Bytes that repeat no period of a power of two. */
export function bytesOf(length: number, seed = 1): Uint8Array<ArrayBuffer> {
  return Uint8Array.from({ length }, (_, i) => (i * 31 + seed) % 251);
}

/** A body of an answer, of these blocks. */
export function bodyOf(...blocks: Uint8Array[]): Answer["body"] {
  const left = [...blocks];
  const read = async () => {
    const value = left.shift();
    return value === undefined ? { done: true } : { done: false, value };
  };
  return { getReader: () => ({ read, cancel: async () => undefined }) };
}

/** Body bytes that came to the node. */
export function dataBytes(node: TestNode): number {
  return node.came("data").reduce((sum, frame) => sum + frame.bytes.length, 0);
}

type RequestFrame = Extract<Frame, { type: "request" }>;

const open = new Set<WebSocket>();

/** Closes the connections of all nodes. */
export function closeNodes(): void {
  for (const socket of open) socket.close(1000, "done");
  open.clear();
}

export class TestNode {
  readonly signer: StatementSigner;
  readonly id: NodeId;
  /** Control frames that were not taken by `next` yet. */
  readonly frames: EdgeFrame[] = [];
  readonly texts: string[] = [];
  /** What the edge said of how the node stands, the newest last. */
  readonly records: NodeRecord[] = [];
  /** Every frame of the tunnel that came. */
  readonly tunnelled: Frame[] = [];
  closed: { code: number; reason: string } | null = null;
  #socket: WebSocket | null = null;
  #onFrame: (frame: Frame) => void = () => undefined;

  constructor(signer: StatementSigner) {
    this.signer = signer;
    this.id = nodeIdOf(signer.key);
  }

  static async create(): Promise<TestNode> {
    return new TestNode(createStatementSigner(await importSigner(randomBytes(32))));
  }

  /** A node that has registered, on a connection of its own. */
  static async registered(changes: Partial<Registration> = {}): Promise<TestNode> {
    const node = await TestNode.create();
    await node.join(changes);
    return node;
  }

  /** Connects and registers. */
  async join(changes: Partial<Registration> = {}): Promise<void> {
    await this.register(await this.connect(), changes);
    await this.next("registered");
  }

  async connect(address = "192.0.2.1"): Promise<Challenge> {
    const response = await SELF.fetch(`${EDGE}/node?id=${this.id}`, {
      headers: { Upgrade: "websocket", "CF-Connecting-IP": address },
    });
    const socket = response.webSocket;
    if (socket === null) throw new Error(`no WebSocket: ${response.status}`);
    socket.binaryType = "arraybuffer";
    socket.accept();
    socket.addEventListener("message", ({ data }) => this.#receive(data));
    socket.addEventListener("close", ({ code, reason }) => {
      this.closed = { code, reason };
      open.delete(socket);
    });
    this.#socket = socket;
    open.add(socket);
    const challenge = await this.next("challenge");
    return challenge as Challenge;
  }

  send(message: string | ArrayBuffer | Uint8Array): void {
    this.#socket?.send(message);
  }

  sendFrame(frame: Frame): void {
    this.send(encodeFrame(frame));
  }

  close(): void {
    this.#socket?.close(1000, "done");
  }

  async register(challenge: Challenge, changes: Partial<Registration> = {}): Promise<string> {
    const body: Registration = {
      type: "holdfast-registration-1",
      node: this.id,
      edge: challenge.edge,
      origin: EDGE,
      nonce: challenge.nonce,
      epoch: challenge.epoch,
      time: new Date().toISOString(),
      url: null,
      pledge: { bytes: 1000, uploadRate: null, downloadRate: null, domains: "all" },
      freeBytes: 900,
      software: "test/1",
      ...changes,
    };
    const registration = formatSigned(await signStatement(registrationKind, body, this.signer));
    const frame = formatFrame({ type: "register", registration });
    this.send(frame);
    return frame;
  }

  /** The next control frame, which must be of this type. */
  async next(type: EdgeFrame["type"], timeout = PATIENCE.timeout): Promise<EdgeFrame> {
    const frame = await vi.waitUntil(() => this.frames.shift() ?? null, { ...PATIENCE, timeout });
    expect(frame.type).toBe(type);
    return frame;
  }

  async refusal(): Promise<string> {
    const frame = await this.next("refused");
    await vi.waitUntil(() => this.closed !== null, PATIENCE);
    expect(this.closed?.code).toBe(CLOSE_REFUSED);
    return frame.type === "refused" ? frame.code : "";
  }

  /** Answers requests as a well-behaved node does. */
  answer(answer: (request: AcceptedRequest) => Promise<Answer>): TunnelAcceptor {
    const acceptor = new TunnelAcceptor({
      answer,
      onError: () => undefined,
      send: (message) => this.send(message),
    });
    this.#onFrame = (frame) => acceptor.receive(encodeFrame(frame));
    return acceptor;
  }

  /** Does what the test says with each frame of the tunnel. */
  onFrame(handle: (frame: Frame) => void): void {
    this.#onFrame = handle;
  }

  /** Does what the test says with each request. */
  onRequest(handle: (stream: number, request: RequestFrame["head"]) => void): void {
    this.onFrame((frame) => {
      if (frame.type === "request") handle(frame.stream, frame.head);
    });
  }

  /** Frames of one type that came through the tunnel. */
  came<T extends Frame["type"]>(type: T): Extract<Frame, { type: T }>[] {
    return this.tunnelled.filter((frame): frame is Extract<Frame, { type: T }> => frame.type === type);
  }

  /** Waits until `count` frames of the type have come. */
  async until(type: Frame["type"], count = 1): Promise<void> {
    await vi.waitUntil(() => this.came(type).length >= count, PATIENCE);
  }

  #control(frame: EdgeFrame): void {
    if (frame.type === "record") this.records.push(frame.record);
    else this.frames.push(frame);
  }

  #receive(data: string | ArrayBuffer): void {
    if (typeof data === "string") {
      if (data === PONG) this.texts.push(data);
      else this.#control(parseEdgeFrame(data));
      return;
    }
    const frame = parseFrame(new Uint8Array(data));
    this.tunnelled.push(frame);
    this.#onFrame(frame);
  }
}
