// NodeLink: one home node's connection to this edge. It authenticates the node, holds its hibernating WebSocket, tells
// the shards that keep the node as a member, and passes requests through the socket (tunnels.ts). It wakes for frames,
// requests and closes only: pings are answered for it.

import { DurableObject } from "cloudflare:workers";
import { parseJson } from "../lib/canonical-json.ts";
import { HoldfastError, isHoldfastError } from "../lib/error.ts";
import { readBody } from "../lib/fetch.ts";
import { encodeHash, type Hash, type NodeId, parseNodeId } from "../lib/hash.ts";
import { INVENTORY_ANSWER_MAX, STATEMENT_ANSWER_MAX } from "../lib/inventory-digests.ts";
import type { NodeRecord } from "../lib/node-record.ts";
import { formatPublicKeyText } from "../lib/openssh-key.ts";
import { failureDomainOf } from "../lib/overlay/failure-domain.ts";
import { errorOf, PROBLEM_TYPE, problemOf } from "../lib/problem.ts";
import {
  CHALLENGE_LIFETIME_MS,
  type ChallengeState,
  CLOSE_REFUSED,
  CLOSE_REPLACED,
  type EdgeFrame,
  formatFrame,
  type NodeFrame,
  PING,
  PONG,
  parseNodeFrame,
  REASON_MAX,
  type Registration,
  SILENCE_MAX_MS,
  VACATION_MAX_MS,
  verifyRegistration,
} from "../lib/registration.ts";
import type { VerifiedStatement } from "../lib/statement.ts";
import { STATEMENT_PATH } from "../lib/tunnel/passage.ts";
import { parseProblem } from "../lib/wire/problem.ts";
import { DUTY_RETRY_MS, Duties } from "./duties.ts";
import { edgeKey } from "./edge-key.ts";
import { type Env, parseSettings } from "./env.ts";
import { IndexClient } from "./index-client.ts";
import { INVENTORY_DELAY_MS, syncInventory } from "./inventory-sync.ts";
import type { MemberReport } from "./members-table.ts";
import { reachNode } from "./reach.ts";
import { migrateLink } from "./schema.ts";
import { StatementRestorer } from "./statement-restorer.ts";
import { Tunnels } from "./tunnels.ts";

/** Sockets of one node that have not answered their challenge yet. */
export const PENDING_SOCKETS_MAX = 16;
/** A node that answers something else is asked again after this long. */
export const INVENTORY_RETRY_MS = 60 * 60 * 1000;
const CONTACTS_GIVEN = 20;
const UNKNOWN_ADDRESS = "0.0.0.0";
const CLOSE_NORMAL = 1000;
/** What a node has not said. */
const UNSAID = { awayUntilMs: null, leaving: false, lostMs: 0, name: null, hours: null };

/** What a socket must remember through hibernation. */
interface SocketState extends ChallengeState {
  /** A node is verified before it is registered; until it has heard of that, nothing is sent through its tunnel. */
  phase: "challenged" | "verified" | "registered";
  /** The address that the node connected from. */
  address: string;
}

export class NodeLink extends DurableObject<Env> {
  readonly #sql: SqlStorage;
  readonly #tunnels = new Tunnels();
  readonly #duties: Duties<"challenges" | "inventory">;

  constructor(ctx: DurableObjectState, env: Env) {
    super(ctx, env);
    this.#sql = ctx.storage.sql;
    migrateLink(ctx.storage);
    this.#duties = new Duties(ctx.storage, {
      challenges: async () => this.#closeLate(),
      inventory: (nowMs) => this.#agreeOnInventory(nowMs),
    });
    ctx.setWebSocketAutoResponse(new WebSocketRequestResponsePair(PING, PONG));
  }

  /** Accepts the node's WebSocket, or passes a request on to the node. */
  override fetch(request: Request): Promise<Response> {
    return request.headers.get("Upgrade") === null ? this.#relay(request) : this.#accept(request);
  }

  /** Accepts the WebSocket of `?id=<nodeId>` and sends its challenge. */
  async #accept(request: Request): Promise<Response> {
    const url = new URL(request.url);
    const node = parseNodeId(url.searchParams.get("id"));
    const { id: edge } = await edgeKey(this.env.EDGE_KEY);
    const { 0: client, 1: server } = new WebSocketPair();
    const state: SocketState = {
      phase: "challenged",
      node,
      edge,
      origin: url.origin,
      nonce: encodeHash(crypto.getRandomValues(new Uint8Array(32))),
      epoch: this.#nextEpoch(node),
      expiresMs: Date.now() + CHALLENGE_LIFETIME_MS,
      address: request.headers.get("CF-Connecting-IP") ?? UNKNOWN_ADDRESS,
    };
    this.#makeRoomForPending();
    this.ctx.acceptWebSocket(server);
    server.serializeAttachment(state);
    send(server, {
      type: "challenge",
      edge,
      nonce: state.nonce,
      epoch: state.epoch,
      expires: new Date(state.expiresMs).toISOString(),
    });
    await this.#duties.ask("challenges", state.expiresMs);
    return new Response(null, { status: 101, webSocket: client });
  }

  override async webSocketMessage(socket: WebSocket, message: string | ArrayBuffer): Promise<void> {
    // Frames that were on their way when it was closed: nobody waits for them.
    if (socket.readyState !== WebSocket.OPEN) return;
    try {
      await this.#receive(socket, message);
    } catch (error) {
      if (!isHoldfastError(error)) throw error;
      refuse(socket, error.code, error.message);
      this.#tunnels.close(socket);
    }
  }

  override async webSocketClose(socket: WebSocket, code: number): Promise<void> {
    // The closing handshake is ours to finish; codes such as 1006 were never sent and cannot be sent back.
    socket.close(isSendable(code) ? code : CLOSE_NORMAL);
    this.#tunnels.close(socket);
    await this.#wentOffline(stateOf(socket));
  }

  override async webSocketError(socket: WebSocket): Promise<void> {
    this.#tunnels.close(socket);
    await this.#wentOffline(stateOf(socket));
  }

  override alarm(): Promise<void> {
    return this.#duties.run(Date.now());
  }

  /** Closes sockets that did not answer their challenge in time; returns when the next would be late. */
  #closeLate(): number | null {
    const isLate = (socket: WebSocket) => stateOf(socket).expiresMs <= Date.now();
    const [late, waiting] = partition(this.#sockets("challenged"), isLate);
    for (const socket of late) refuse(socket, "registration-expired", "no answer to the challenge");
    return waiting.length === 0 ? null : Math.min(...waiting.map((socket) => stateOf(socket).expiresMs));
  }

  /** Null where there is nobody to ask: who registers is asked then. */
  async #agreeOnInventory(nowMs: number): Promise<number | null> {
    const [socket] = this.#registered();
    const member = this.#member();
    if (socket === undefined || member === null) return null;
    const index = new IndexClient(this.env);
    const node = member.id;
    const ask = (path: string) => this.#askNode(socket, path);
    const restorer = new StatementRestorer({ index, edge: await edgeKey(this.env.EDGE_KEY), node, ask });
    try {
      return await syncInventory(
        {
          ...{ sql: this.#sql, node, ask },
          kept: (listed) => index.keptStatements(listed),
          restore: (listed) => restorer.restore(listed),
          claim: (claim) => index.claim(claim),
          report: (report) => index.root().noteInventory(report),
        },
        nowMs,
      );
    } catch (error) {
      if (!isHoldfastError(error)) throw error;
      console.warn(`what ${node} keeps was not taken in: ${error.message}`);
      return nowMs + (isHoldfastError(error, "unreachable", "timeout") ? DUTY_RETRY_MS : INVENTORY_RETRY_MS);
    }
  }

  /** Throws the node's problem, and what the tunnel throws. */
  async #askNode(socket: WebSocket, path: string): Promise<unknown> {
    const maxBytes = path.startsWith(STATEMENT_PATH) ? STATEMENT_ANSWER_MAX : INVENTORY_ANSWER_MAX;
    const response = await this.#tunnels.relay(socket, new Request(`http://link.invalid${path}`));
    const body = parseJson(await readBody(response, maxBytes), maxBytes);
    if (response.status !== 200) throw errorOf(parseProblem(body));
    return body;
  }

  /**
   * Called when somebody could not reach the node. A link lost without a close is noticed here; and what a shard
   * missed, because a call to it failed, is said again.
   */
  async checkLink(): Promise<boolean> {
    const isSilent = (socket: WebSocket) => this.#heardMs(socket) < Date.now() - SILENCE_MAX_MS;
    const [silent, heard] = partition(this.#sockets("verified", "registered"), isSilent);
    for (const socket of silent) {
      refuse(socket, "timeout", "no ping came for too long");
      this.#tunnels.close(socket);
    }
    if (heard.length > 0) return true;
    const member = this.#member();
    if (member === null) return false;
    await this.#tellShards({
      ...member,
      online: false,
      sinceMs: member.online ? Date.now() : member.sinceMs,
    });
    return false;
  }

  /** Tells the node how it stands here; where it is not connected, it hears of it when it comes back. */
  async tellRecord(record: NodeRecord): Promise<void> {
    for (const socket of this.#sockets("registered")) send(socket, { type: "record", record });
  }

  async #receive(socket: WebSocket, message: string | ArrayBuffer): Promise<void> {
    const state = stateOf(socket);
    const isVerified = state.phase !== "challenged";
    if (isVerified && typeof message !== "string") return this.#tunnels.receive(socket, message);
    const frame = parseNodeFrame(typeof message === "string" ? message : "");
    if (frame.type === "register") return this.#register(socket, state, frame);
    if (!isVerified) throw new HoldfastError("registration-invalid", "register first");
    await this.#hear(state, frame);
  }

  /** Passes a request on through the newest registered socket. */
  async #relay(request: Request): Promise<Response> {
    const [newest] = this.#registered();
    try {
      if (newest !== undefined) return await this.#tunnels.relay(newest, request);
      // Whoever sent the request here believed the node online.
      await this.checkLink();
      throw new HoldfastError("unreachable", "the home node is not connected to this edge");
    } catch (error) {
      const failure = failureOf(error, request.signal);
      if (failure.code === "timeout") await this.checkLink();
      const problem = problemOf(failure);
      return Response.json(problem, { status: problem.status, headers: { "Content-Type": PROBLEM_TYPE } });
    }
  }

  async #register(
    socket: WebSocket,
    state: SocketState,
    frame: Extract<NodeFrame, { type: "register" }>,
  ): Promise<void> {
    const registration = await verifyRegistration(frame, state, Date.now());
    // Asked after the verification: a frame sent twice at once is verified twice, and counts once.
    if (stateOf(socket).phase !== "challenged") {
      refuse(socket, "registration-replayed", "this connection is registered already");
      return;
    }
    // One use: from here on the same frame is a replay, also while the checks below wait.
    socket.serializeAttachment({ ...state, phase: "verified" } satisfies SocketState);
    const { allowLocalNodes, failureDomain } = parseSettings(this.env);
    const { url, code, reason } = await reachNode(registration.body, allowLocalNodes);
    const lostMs = registration.body.lost === true ? Date.now() : (this.#member()?.lostMs ?? 0);
    await this.#tellShards({ ...memberOf(registration, state, url, failureDomain), lostMs });
    const contacts = await new IndexClient(this.env).contactsOf(state.node, CONTACTS_GIVEN);
    // It may have closed while all that was under way, before there was anything to take offline.
    if (socket.readyState !== WebSocket.OPEN) return this.#wentOffline({ ...state, phase: "verified" });
    socket.serializeAttachment({ ...state, phase: "registered" } satisfies SocketState);
    for (const other of this.#sockets("verified", "registered")) {
      if (stateOf(other).epoch >= state.epoch) continue;
      other.close(CLOSE_REPLACED, "a newer connection of this node registered");
      this.#tunnels.close(other);
    }
    send(socket, { type: "registered", direct: url !== null, code, reason, contacts });
    await this.#duties.ask("inventory", Date.now() + INVENTORY_DELAY_MS);
    const record = await new IndexClient(this.env).nodeRecord(state.node);
    if (record !== null && socket.readyState === WebSocket.OPEN) send(socket, { type: "record", record });
  }

  /** What a node says after it has registered; of an older connection it changes nothing. */
  async #hear(state: SocketState, frame: Exclude<NodeFrame, { type: "register" }>): Promise<void> {
    const member = this.#member();
    if (member === null || member.epoch !== state.epoch) return;
    if (frame.type === "lost") return this.#loseChunks(member.id, frame.chunks);
    await this.#tellShards({ ...member, ...changeOf(frame) });
  }

  /** A node's word takes nobody but itself off the lists. */
  async #loseChunks(node: NodeId, chunks: Hash[]): Promise<void> {
    await new IndexClient(this.env).loseHolders(
      chunks.map((chunk) => ({ chunk, node, reason: "missing" as const })),
    );
  }

  async #wentOffline(state: SocketState): Promise<void> {
    const member = this.#member();
    if (state.phase !== "challenged" && member?.epoch === state.epoch && member.online) {
      await this.#tellShards({ ...member, online: false, sinceMs: Date.now() });
    }
  }

  /** Persists what is said before it is said: checkLink repeats it to shards that did not hear it. */
  async #tellShards(member: MemberReport): Promise<void> {
    this.#sql.exec("UPDATE link SET member = ? WHERE one = 1", JSON.stringify(member));
    await new IndexClient(this.env).putMember(member);
  }

  #nextEpoch(node: NodeId): number {
    return this.#sql
      .exec<{ epoch: number }>(
        "INSERT INTO link (one, node, epoch) VALUES (1, ?, 1) ON CONFLICT DO UPDATE SET epoch = epoch + 1 RETURNING epoch",
        node,
      )
      .one().epoch;
  }

  #member(): MemberReport | null {
    const [row] = this.#sql.exec<{ member: string | null }>("SELECT member FROM link").toArray();
    return row === undefined || row.member === null ? null : parseMember(row.member);
  }

  /** When the node last pinged; one that never has is not judged by it. */
  #heardMs(socket: WebSocket): number {
    return this.ctx.getWebSocketAutoResponseTimestamp(socket)?.getTime() ?? Number.POSITIVE_INFINITY;
  }

  /** The newest first. */
  #registered(): WebSocket[] {
    return this.#sockets("registered").sort((a, b) => stateOf(b).epoch - stateOf(a).epoch);
  }

  #sockets(...phases: SocketState["phase"][]): WebSocket[] {
    return this.ctx
      .getWebSockets()
      .filter((socket) => socket.readyState === WebSocket.OPEN && phases.includes(stateOf(socket).phase));
  }

  /** Where too many wait, one of the address that has most of them goes: a crowd elsewhere cannot push the node out. */
  #makeRoomForPending(): void {
    const pending = this.#sockets("challenged");
    if (pending.length < PENDING_SOCKETS_MAX) return;
    const byAddress = [...Map.groupBy(pending, (socket) => stateOf(socket).address).values()];
    const [crowd = []] = byAddress.sort((a, b) => b.length - a.length);
    const [oldest] = crowd.sort((a, b) => stateOf(a).epoch - stateOf(b).epoch);
    if (oldest !== undefined)
      refuse(oldest, "rate-limited", "too many connections of this node wait to register");
  }
}

function partition<T>(items: T[], test: (item: T) => boolean): [T[], T[]] {
  return [items.filter(test), items.filter((item) => !test(item))];
}

function memberOf(
  registration: VerifiedStatement<Registration>,
  state: SocketState,
  url: string | null,
  mode: "network" | "node",
): MemberReport {
  const { body } = registration;
  return {
    id: body.node,
    key: formatPublicKeyText(registration.key),
    url,
    failureDomain: failureDomainOf(mode, body.node, state.address),
    domains: body.pledge.domains,
    pledgedBytes: body.pledge.bytes,
    freeBytes: body.freeBytes,
    online: true,
    epoch: state.epoch,
    sinceMs: Date.now(),
    ...UNSAID,
    name: body.name ?? null,
    hours: body.pledge.hours ?? null,
    awayUntilMs: awayUntilMs(body.awayUntil ?? null),
    leaving: body.leaving === true,
  };
}

function changeOf(frame: Exclude<NodeFrame, { type: "register" | "lost" }>): Partial<MemberReport> {
  if (frame.type === "room") return { freeBytes: frame.freeBytes };
  return frame.type === "leave" ? { leaving: frame.leaving } : { awayUntilMs: awayUntilMs(frame.until) };
}

/** Nobody's place is kept for longer than VACATION_MAX_MS. */
function awayUntilMs(until: string | null): number | null {
  return until === null ? null : Math.min(Date.parse(until), Date.now() + VACATION_MAX_MS);
}

/** RFC 6455 7.4: what an application may put into a close frame. */
function isSendable(code: number): boolean {
  return code === CLOSE_NORMAL || (code >= 3000 && code < 5000);
}

function send(socket: WebSocket, frame: EdgeFrame): void {
  socket.send(formatFrame(frame));
}

/** Where whoever asked has left, nobody hears this. Throws what is no failure of a request. */
function failureOf(error: unknown, signal: AbortSignal): HoldfastError {
  if (isHoldfastError(error)) return error;
  if (signal.aborted) return new HoldfastError("unreachable", "whoever asked for it has left");
  throw error;
}

function refuse(socket: WebSocket, code: string, detail: string): void {
  if (socket.readyState !== WebSocket.OPEN) return;
  send(socket, { type: "refused", code, detail: detail.slice(0, REASON_MAX) });
  socket.close(CLOSE_REFUSED, code);
}

function stateOf(socket: WebSocket): SocketState {
  return parseSocketState(socket.deserializeAttachment());
}

// Written by this class only: the runtime keeps it beside the socket.
function parseSocketState(attachment: unknown): SocketState {
  return attachment as SocketState;
}

/** One that was written before a node could say these has said none of them. */
function parseMember(text: string): MemberReport {
  return { ...UNSAID, ...(JSON.parse(text) as Omit<MemberReport, keyof typeof UNSAID>) };
}
