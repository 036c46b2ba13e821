// One node's WebSocket at this relay: challenged, registered, kept alive for as long as the node pings, and the requests
// that go to it. Whatever is out of form or order closes it.

import { randomBytes, randomInt } from "node:crypto";
import type { Logger } from "pino";
import { type RawData, WebSocket } from "ws";
import { HoldfastError, isHoldfastError } from "../../lib/error.ts";
import { encodeHash, type NodeId } from "../../lib/hash.ts";
import {
  CHALLENGE_LIFETIME_MS,
  type ChallengeState,
  CLOSE_REFUSED,
  CLOSE_REPLACED,
  type EdgeFrame,
  formatFrame,
  PING,
  PONG,
  parseNodeFrame,
  REASON_MAX,
  SILENCE_MAX_MS,
  verifyRegistration,
} from "../../lib/registration.ts";
import { STREAM_ID_MAX } from "../../lib/tunnel/frames.ts";
import { TunnelOpener } from "../../lib/tunnel/opener.ts";
import type { Clock } from "../clock.ts";
import { bytesOf, CLOSE_GOING_AWAY, CLOSE_TIMEOUT_MS } from "../link/web-socket.ts";

/** What may wait to be read by a node; one that gives credit and does not read is cut off. */
export const UNSENT_BYTES_MAX = 16 * 1024 * 1024;
const NONCE_BYTES = 32;
const NOT_TRIED = "a home node relays, and tries no URLs";
const PING_BYTES = Buffer.from(PING);

export interface ConnectionDeps {
  socket: WebSocket;
  /** Who it says it is, and from where it comes. */
  node: NodeId;
  caller: string | null;
  /** The relay, by its id and the origin at which nodes dial it. */
  relay: NodeId;
  origin: string;
  clock: Clock;
  log: Logger;
  nextEpoch: () => Promise<number>;
  /** The node has shown who it is. Throws where there is no place for it. */
  admit: (connection: RelayedConnection) => void;
}

export class RelayedConnection {
  readonly #deps: ConnectionDeps;
  readonly #over = new AbortController();
  readonly #opener: TunnelOpener;
  #phase: "new" | "challenged" | "verifying" | "registered" = "new";
  #challenge: ChallengeState | null = null;
  #heardAtMs: number;

  constructor(deps: ConnectionDeps) {
    this.#deps = deps;
    this.#heardAtMs = deps.clock.now();
    this.#opener = new TunnelOpener({
      send: (message) => this.#send(message),
      firstStream: randomInt(STREAM_ID_MAX),
    });
  }

  get node(): NodeId {
    return this.#deps.node;
  }

  get caller(): string | null {
    return this.#deps.caller;
  }

  /** 0 before it was challenged. */
  get epoch(): number {
    return this.#challenge?.epoch ?? 0;
  }

  /** Sends requests to the node; null before it is registered, and once the connection is closed. */
  get opener(): TunnelOpener | null {
    return this.#isRegistered && !this.#isOver ? this.#opener : null;
  }

  /** Returns when the connection is closed; never throws. */
  async run(): Promise<void> {
    const { socket, log } = this.#deps;
    const closed = new Promise<void>((resolve) => socket.on("close", () => resolve()));
    socket.on("error", (error) => log.debug({ err: error }, "the connection of a relayed node failed"));
    socket.on("message", (data, isBinary) => this.#background(() => this.#receive(data, isBinary)));
    this.#background(() => this.#challengeNode());
    await closed;
    this.#over.abort();
    this.#opener.close("the home node's connection is gone");
  }

  /** Tells the node why, and closes; requests under way fail at once. */
  refuse(code: string, detail: string): void {
    if (this.#isOver) return;
    this.#say({ type: "refused", code, detail: detail.slice(0, REASON_MAX) });
    this.#close(CLOSE_REFUSED, code);
  }

  /** A newer connection of the node has registered. */
  replace(): void {
    this.#close(CLOSE_REPLACED, "a newer connection of this node registered");
  }

  goAway(): void {
    this.#close(CLOSE_GOING_AWAY, "the relay is going away");
  }

  async #challengeNode(): Promise<void> {
    const { node, relay, origin, clock, nextEpoch } = this.#deps;
    const epoch = await nextEpoch();
    const nonce = encodeHash(new Uint8Array(randomBytes(NONCE_BYTES)));
    const expiresMs = clock.now() + CHALLENGE_LIFETIME_MS;
    this.#challenge = { node, edge: relay, origin, nonce, epoch, expiresMs };
    this.#phase = "challenged";
    this.#say({ type: "challenge", edge: relay, nonce, epoch, expires: new Date(expiresMs).toISOString() });
    await this.#sleep(CHALLENGE_LIFETIME_MS);
    if (!this.#isRegistered) this.refuse("registration-expired", "no answer to the challenge");
    await this.#watchSilence();
  }

  async #watchSilence(): Promise<void> {
    while (!this.#isOver) {
      const leftMs = this.#heardAtMs + SILENCE_MAX_MS - this.#deps.clock.now();
      if (leftMs <= 0) this.refuse("timeout", "no ping came for too long");
      else await this.#sleep(leftMs);
    }
  }

  async #receive(data: RawData, isBinary: boolean): Promise<void> {
    // Frames that were on their way when it was closed: nobody waits for them.
    if (this.#isOver) return;
    const message = bytesOf(data);
    if (!isBinary && message.equals(PING_BYTES)) return this.#pong();
    if (isBinary) {
      if (!this.#isRegistered) throw registerFirst();
      this.#opener.receive(message);
      return;
    }
    const frame = parseNodeFrame(message.toString());
    if (frame.type === "register") return this.#register(frame);
    // What a node tells its edges besides means nothing to a relay.
    if (!this.#isRegistered) throw registerFirst();
  }

  async #register(frame: Parameters<typeof verifyRegistration>[0]): Promise<void> {
    const { clock, admit } = this.#deps;
    // One use: a second frame is a replay, also while the first is being verified.
    if (this.#phase !== "challenged" || this.#challenge === null)
      throw new HoldfastError("registration-replayed", "there is no challenge that this could answer");
    this.#phase = "verifying";
    await verifyRegistration(frame, this.#challenge, clock.now());
    if (this.#isOver) return;
    admit(this);
    this.#phase = "registered";
    this.#heardAtMs = clock.now();
    this.#say({ type: "registered", direct: false, reason: NOT_TRIED, contacts: [] });
  }

  #pong(): void {
    this.#heardAtMs = this.#deps.clock.now();
    this.#send(PONG);
  }

  #say(frame: EdgeFrame): void {
    this.#send(formatFrame(frame));
  }

  #send(message: string | Uint8Array): void {
    const { socket } = this.#deps;
    if (socket.readyState !== WebSocket.OPEN) return;
    if (socket.bufferedAmount > UNSENT_BYTES_MAX) socket.terminate();
    else socket.send(message);
  }

  /** Closed at once for whoever asks; a node that does not answer the close is dropped. */
  #close(code: number, reason: string): void {
    const { socket, clock } = this.#deps;
    if (this.#isOver) return;
    const closed = new AbortController();
    socket.on("close", () => closed.abort());
    socket.close(code, reason);
    this.#over.abort();
    this.#opener.close("the home node's connection is gone");
    void clock.sleep(CLOSE_TIMEOUT_MS, closed.signal).then(() => socket.terminate());
  }

  get #isRegistered(): boolean {
    return this.#phase === "registered";
  }

  get #isOver(): boolean {
    return this.#over.signal.aborted;
  }

  #sleep(ms: number): Promise<void> {
    return this.#deps.clock.sleep(ms, this.#over.signal);
  }

  #background(task: () => Promise<void>): void {
    task().catch((error: unknown) => {
      if (isHoldfastError(error)) return this.refuse(error.code, error.message);
      this.#deps.log.error({ err: error }, "relaying for a node failed");
      this.refuse("internal", "the relay failed");
    });
  }
}

function registerFirst(): HoldfastError {
  return new HoldfastError("registration-invalid", "register first");
}
