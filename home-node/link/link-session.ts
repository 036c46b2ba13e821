// One WebSocket connection to an edge: answer its challenge once, be registered, keep the line alive, report room, and
// answer requests through the tunnel. Anything out of order or out of form closes the connection; edge-link.ts decides what comes after.

import type { LookupFunction } from "node:net";
import type { Logger } from "pino";
import { type RawData, WebSocket } from "ws";
import { HoldfastError, isHoldfastError } from "../../lib/error.ts";
import type { Hash } from "../../lib/hash.ts";
import type { NodeRecord } from "../../lib/node-record.ts";
import type { Pledge } from "../../lib/pledge.ts";
import {
  type Challenge,
  type EdgeFrame,
  formatFrame,
  type NodeFrame,
  PING,
  PING_INTERVAL_MS,
  PONG,
  parseEdgeFrame,
  registrationKind,
} from "../../lib/registration.ts";
import { signStatement } from "../../lib/statement.ts";
import type { TunnelAcceptor } from "../../lib/tunnel/acceptor.ts";
import { formatSigned } from "../../lib/wire/signed.ts";
import type { Clock } from "../clock.ts";
import type { Identity } from "../identity.ts";
import { type AnswerRequest, createTunnel, type MayPass } from "./tunnel.ts";
import { bytesOf, CLOSE_GOING_AWAY, CLOSE_TIMEOUT_MS, SOCKET_OPTIONS } from "./web-socket.ts";

export const SOFTWARE = "holdfast/0.1.0";
export const HANDSHAKE_TIMEOUT_MS = 15_000;
/** From the start of the connection to `registered`: the edge tries the node's URL in between. */
export const REGISTER_TIMEOUT_MS = 45_000;
export const PONG_TIMEOUT_MS = 10_000;
/** Room is reported at most this often, and when it changed by a tenth of the pledge. */
export const ROOM_INTERVAL_MS = 60_000;
const ROOM_CHANGE = 0.1;
/** RFC 6455 7.4.1. */
const CLOSE_NORMAL = 1000;
const CLOSE_PROTOCOL_ERROR = 1002;
const CLOSE_UNSUPPORTED = 1003;
const CLOSE_MALFORMED = 1007;
const CLOSE_TOO_LARGE = 1009;
const CLOSE_INTERNAL = 1011;
/** A close frame's reason has at most 123 bytes (5.5); an edge's words, quoted back, take up to three a character. */
const CLOSE_REASON_MAX = 40;
const PONG_BYTES = Buffer.from(PONG);

export interface Offer {
  url: string | null;
  pledge: Pledge;
  freeBytes: number;
  /** What the volunteer wants to be called; left out: nothing. */
  name?: string;
  awayUntil?: string;
  leaving?: true;
  lost?: true;
}

export interface SessionDeps {
  url: string;
  /** The edge's origin, as http(s): what the registration is bound to. */
  origin: string;
  identity: Identity;
  clock: Clock;
  log: Logger;
  offer: () => Promise<Offer>;
  /** The id that whoever answers there must have; null: any. */
  expects: Hash | null;
  /** Resolves the URL's host, where that is a stranger's word. */
  lookup?: LookupFunction | undefined;
  /** Answers a request that came through the edge, of those that may pass. */
  answer: AnswerRequest;
  mayPass: MayPass;
  onChallenge: (edge: Hash) => void;
  /** `say` sends control frames for as long as the session lasts. */
  onRegistered: (frame: Registered, say: Say) => void;
  /** The edge says how the node stands there. */
  onRecord: (record: NodeRecord) => void;
  /** Aborted to end the session cleanly. */
  signal: AbortSignal;
}

export type Say = (frame: NodeFrame) => void;
type Registered = Extract<EdgeFrame, { type: "registered" }>;

/** Runs one session to its end; never throws. Returns why it ended, in words. */
export async function runSession(deps: SessionDeps): Promise<string> {
  const session = new LinkSession(deps);
  return session.run();
}

class LinkSession {
  readonly #deps: SessionDeps;
  readonly #socket: WebSocket;
  readonly #over = new AbortController();
  readonly #tunnel: TunnelAcceptor;
  #state: "open" | "challenged" | "registered" = "open";
  #awaitsPong = false;
  #reportedBytes = 0;
  #error = "";

  constructor(deps: SessionDeps) {
    this.#deps = deps;
    this.#socket = new WebSocket(deps.url, {
      ...SOCKET_OPTIONS,
      ...(deps.lookup === undefined ? {} : { lookup: deps.lookup }),
      handshakeTimeout: HANDSHAKE_TIMEOUT_MS,
      followRedirects: false,
    });
    this.#tunnel = createTunnel((message) => this.#sendBinary(message), deps);
  }

  async run(): Promise<string> {
    const { signal } = this.#deps;
    const goAway = (): void => this.#close(CLOSE_GOING_AWAY, "the node is going away");
    const end = new Promise<string>((resolve) => {
      this.#socket.on("close", (code, reason) => resolve(this.#describeEnd(code, reason.toString())));
    });
    this.#socket.on("error", (error) => this.#onError(error));
    this.#socket.on("message", (data, isBinary) => this.#onMessage(data, isBinary));
    this.#socket.on("open", () => this.#background(() => this.#keepAlive()));
    this.#background(() => this.#expectRegistration());
    signal.addEventListener("abort", goAway, { once: true });
    if (signal.aborted) goAway();
    const reason = await end;
    this.#over.abort();
    this.#tunnel.close();
    signal.removeEventListener("abort", goAway);
    return reason;
  }

  #describeEnd(code: number, reason: string): string {
    const words = [this.#error, reason].filter((text) => text !== "").join("; ");
    this.#deps.log.info({ code, reason: words }, "the connection to the edge is closed");
    return words === "" ? `closed with code ${code}` : words;
  }

  #onError(error: Error): void {
    this.#error = error.message;
    this.#deps.log.warn({ err: error }, "the connection to the edge failed");
  }

  #onMessage(data: RawData, isBinary: boolean): void {
    const message = bytesOf(data);
    if (!isBinary && message.equals(PONG_BYTES)) this.#awaitsPong = false;
    else if (!isBinary) this.#orClose(() => this.#onFrame(parseEdgeFrame(message.toString())));
    else if (this.#state === "registered") this.#orClose(() => this.#tunnel.receive(message));
    else this.#close(CLOSE_UNSUPPORTED, "no binary frames are expected before the registration");
  }

  /** Does what a frame asks for; a frame out of form or order closes the connection. */
  #orClose(work: () => void): void {
    try {
      work();
    } catch (error) {
      if (!isHoldfastError(error)) throw error;
      this.#close(closeCodeOf(error), error.message);
    }
  }

  #onFrame(frame: EdgeFrame): void {
    if (frame.type === "refused") {
      this.#close(CLOSE_NORMAL, `refused: ${frame.code}: ${frame.detail}`);
    } else if (frame.type === "challenge" && this.#state === "open") {
      this.#checkWho(frame);
      this.#state = "challenged";
      this.#background(() => this.#answer(frame));
    } else if (frame.type === "registered" && this.#state === "challenged") {
      this.#state = "registered";
      this.#deps.log.info({ direct: frame.direct, reason: frame.reason }, "registered with the edge");
      this.#deps.onRegistered(frame, (said) => this.#send(formatFrame(said)));
      this.#background(() => this.#reportRoom());
    } else if (frame.type === "record" && this.#state === "registered") {
      this.#deps.onRecord(frame.record);
    } else {
      // A second challenge on one connection would have the node sign for somebody else's.
      throw new HoldfastError("registration-invalid", `a ${frame.type} frame is not expected now`);
    }
  }

  #checkWho({ edge }: Challenge): void {
    const { expects } = this.#deps;
    if (expects !== null && edge !== expects)
      throw new HoldfastError("registration-invalid", "another node answers there than was expected");
  }

  async #answer(challenge: Challenge): Promise<void> {
    const { identity, clock, offer, onChallenge, origin } = this.#deps;
    const { edge, nonce, epoch } = challenge;
    onChallenge(edge);
    const current = await offer();
    this.#reportedBytes = current.freeBytes;
    const time = new Date(clock.now()).toISOString();
    const body = {
      type: registrationKind.type,
      node: identity.id,
      edge,
      origin,
      nonce,
      epoch,
      time,
      ...current,
      software: SOFTWARE,
    };
    const registration = await signStatement(registrationKind, body, identity.signer);
    this.#send(formatFrame({ type: "register", registration: formatSigned(registration) }));
  }

  async #expectRegistration(): Promise<void> {
    await this.#sleep(REGISTER_TIMEOUT_MS);
    if (this.#isOver || this.#state === "registered") return;
    this.#drop("the edge did not register the node in time");
  }

  async #keepAlive(): Promise<void> {
    while (!this.#isOver) {
      this.#awaitsPong = true;
      this.#send(PING);
      await this.#sleep(PONG_TIMEOUT_MS);
      if (this.#awaitsPong && !this.#isOver) this.#drop("the edge did not answer a ping");
      await this.#sleep(PING_INTERVAL_MS - PONG_TIMEOUT_MS);
    }
  }

  async #reportRoom(): Promise<void> {
    while (!this.#isOver) {
      await this.#sleep(ROOM_INTERVAL_MS);
      if (this.#isOver) return;
      const { freeBytes, pledge } = await this.#deps.offer();
      if (Math.abs(freeBytes - this.#reportedBytes) < Math.max(1, pledge.bytes * ROOM_CHANGE)) continue;
      this.#reportedBytes = freeBytes;
      this.#send(formatFrame({ type: "room", freeBytes }));
    }
  }

  get #isOver(): boolean {
    return this.#over.signal.aborted;
  }

  #sleep(ms: number): Promise<void> {
    return this.#deps.clock.sleep(ms, this.#over.signal);
  }

  #send(text: string): void {
    if (this.#socket.readyState === WebSocket.OPEN) this.#socket.send(text);
  }

  #sendBinary(message: Uint8Array): void {
    if (this.#socket.readyState === WebSocket.OPEN) this.#socket.send(message);
  }

  #drop(reason: string): void {
    this.#error = reason;
    this.#deps.log.warn(reason);
    this.#socket.terminate();
  }

  /** Closes with a code; an edge that does not answer the close is dropped. */
  #close(code: number, reason: string): void {
    if (this.#socket.readyState === WebSocket.CLOSING || this.#socket.readyState === WebSocket.CLOSED) return;
    if (code !== CLOSE_GOING_AWAY)
      this.#deps.log.warn({ code, reason }, "closing the connection to the edge");
    this.#error = reason;
    if (this.#socket.readyState === WebSocket.CONNECTING) {
      this.#socket.terminate();
      return;
    }
    this.#socket.close(code, reason.slice(0, CLOSE_REASON_MAX));
    this.#background(async () => {
      await this.#sleep(CLOSE_TIMEOUT_MS);
      this.#socket.terminate();
    });
  }

  #background(task: () => Promise<void>): void {
    task().catch((error: unknown) => {
      this.#deps.log.error({ err: error }, "the link to the edge failed");
      this.#close(CLOSE_INTERNAL, "the node failed");
    });
  }
}

function closeCodeOf({ code }: HoldfastError): number {
  if (code === "frame-malformed") return CLOSE_MALFORMED;
  return code === "frame-too-large" ? CLOSE_TOO_LARGE : CLOSE_PROTOCOL_ERROR;
}
