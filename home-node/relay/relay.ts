// The relay of a home node that is reached directly: nodes that nobody can dial hold a WebSocket to it, and are asked
// through it. Whoever has a key may come, so everything is bounded: who waits to register, who is registered, in all and
// from one address. The node's own listener hands the connections in.

import type { IncomingMessage } from "node:http";
import type { Duplex } from "node:stream";
import type { Logger } from "pino";
import { type WebSocket, WebSocketServer } from "ws";
import { HoldfastError, isHoldfastError } from "../../lib/error.ts";
import { type NodeId, parseNodeId } from "../../lib/hash.ts";
import { PROBLEM_TYPE, problemOf } from "../../lib/problem.ts";
import type { TunnelOpener } from "../../lib/tunnel/opener.ts";
import type { Clock } from "../clock.ts";
import { SOCKET_OPTIONS } from "../link/web-socket.ts";
import type { Upgrades } from "../server/listener.ts";
import { callerOf } from "./caller.ts";
import { RelayedConnection } from "./connection.ts";
import type { Epochs } from "./epochs.ts";

/** Nodes that one relays for. */
export const RELAYED_NODES_MAX = 64;
/** Of them, those from one address: nobody takes all places with keys made up on one machine. */
export const RELAYED_PER_CALLER_MAX = 8;
/** Connections that have not registered yet, in all and from one address. */
export const PENDING_RELAYED_MAX = 64;
export const PENDING_PER_CALLER_MAX = 8;
const NODE_PATH = "/node";

export interface RelayDeps {
  self: NodeId;
  /** The origin at which others dial this node; null: nobody can, and it relays for nobody. */
  origin: () => string | null;
  epochs: Epochs;
  clock: Clock;
  log: Logger;
}

export class Relay implements Upgrades {
  readonly #deps: RelayDeps;
  readonly #server = new WebSocketServer({ noServer: true, ...SOCKET_OPTIONS });
  /** In the order in which they came. */
  readonly #pending = new Set<RelayedConnection>();
  readonly #registered = new Map<NodeId, { connection: RelayedConnection; since: string }>();
  readonly #running = new Set<Promise<void>>();
  #isStopping = false;

  constructor(deps: RelayDeps) {
    this.#deps = deps;
  }

  /** The nodes that this one relays for now. */
  get nodes(): { id: NodeId; since: string }[] {
    return [...this.#registered].map(([id, { since }]) => ({ id, since }));
  }

  /** Where requests to a node go in; null where it is not registered here. */
  opener(node: NodeId): TunnelOpener | null {
    return this.#registered.get(node)?.connection.opener ?? null;
  }

  wants({ method, url = "", headers }: IncomingMessage): boolean {
    const isWebSocket = headers.upgrade?.toLowerCase() === "websocket";
    return method === "GET" && isWebSocket && url.split("?", 1)[0] === NODE_PATH;
  }

  accept(message: IncomingMessage, stream: Duplex, head: Buffer): void {
    try {
      const { node, origin } = this.#judge(message);
      this.#server.handleUpgrade(message, stream, head, (socket) =>
        this.#open(socket, node, callerOf(message), origin),
      );
    } catch (error) {
      if (!isHoldfastError(error)) throw error;
      refuseUpgrade(stream, error);
    }
  }

  /** Returns when every connection is closed. */
  async stop(): Promise<void> {
    this.#isStopping = true;
    for (const connection of [...this.#pending, ...this.#connections()]) connection.goAway();
    await Promise.all(this.#running);
  }

  #judge(message: IncomingMessage): { node: NodeId; origin: string } {
    const origin = this.#deps.origin();
    if (!this.wants(message) || origin === null || this.#isStopping)
      throw new HoldfastError("not-found", "there is nothing at this path");
    const query = new URL(message.url ?? "", origin).searchParams;
    return { node: parseNodeId(query.get("id")), origin: new URL(origin).origin };
  }

  #open(socket: WebSocket, node: NodeId, caller: string | null, origin: string): void {
    const { self, epochs, clock, log } = this.#deps;
    const connection = new RelayedConnection({
      socket,
      node,
      caller,
      relay: self,
      origin,
      clock,
      log,
      nextEpoch: () => epochs.next(),
      admit: (admitted) => this.#admit(admitted),
    });
    this.#makeRoomForPending(caller);
    this.#pending.add(connection);
    const running = connection.run().finally(() => {
      this.#running.delete(running);
      this.#pending.delete(connection);
      if (this.#registered.get(node)?.connection === connection) this.#registered.delete(node);
    });
    this.#running.add(running);
    // Said before anything is signed or verified.
    if (!this.#hasPlaceFor(connection)) connection.refuse("quota-exceeded", NO_PLACE);
  }

  #admit(connection: RelayedConnection): void {
    const { node, epoch } = connection;
    const older = this.#registered.get(node)?.connection;
    if (older !== undefined && older.epoch > epoch)
      throw new HoldfastError("registration-replayed", "a newer connection of this node is registered");
    if (!this.#hasPlaceFor(connection)) throw new HoldfastError("quota-exceeded", NO_PLACE);
    this.#pending.delete(connection);
    this.#registered.set(node, { connection, since: new Date(this.#deps.clock.now()).toISOString() });
    older?.replace();
  }

  /** A node that is here already has its place. */
  #hasPlaceFor({ node, caller }: RelayedConnection): boolean {
    if (this.#registered.has(node)) return true;
    if (this.#registered.size >= RELAYED_NODES_MAX) return false;
    return caller === null || ofCaller(this.#connections(), caller).length < RELAYED_PER_CALLER_MAX;
  }

  /** Where too many wait, the oldest of the address that has most of them goes: a crowd elsewhere pushes nobody out. */
  #makeRoomForPending(caller: string | null): void {
    const pending = [...this.#pending];
    const own = caller === null ? [] : ofCaller(pending, caller);
    const byCaller = [...Map.groupBy(pending, (connection) => connection.caller).values()];
    const [crowd = []] = byCaller.sort((a, b) => b.length - a.length);
    const tooMany =
      own.length >= PENDING_PER_CALLER_MAX ? own : pending.length >= PENDING_RELAYED_MAX ? crowd : [];
    const [oldest] = tooMany;
    if (oldest === undefined) return;
    this.#pending.delete(oldest);
    oldest.refuse("rate-limited", "too many connections wait to register");
  }

  #connections(): RelayedConnection[] {
    return [...this.#registered.values()].map(({ connection }) => connection);
  }
}

const NO_PLACE = "this home node relays for as many nodes as it takes: ask another";

function ofCaller(connections: RelayedConnection[], caller: string): RelayedConnection[] {
  return connections.filter((connection) => connection.caller === caller);
}

/** There is no HTTP response any more once an upgrade has come. */
function refuseUpgrade(stream: Duplex, error: HoldfastError): void {
  const problem = problemOf(error);
  const body = JSON.stringify(problem);
  stream.on("error", () => stream.destroy());
  stream.end(
    `HTTP/1.1 ${problem.status} Refused\r\nConnection: close\r\nContent-Type: ${PROBLEM_TYPE}\r\n` +
      `Content-Length: ${Buffer.byteLength(body)}\r\n\r\n${body}`,
  );
}
