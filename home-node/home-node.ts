// A home node: the volunteer's daemon. Puts its parts together, starts them in an order in which none is asked
// before it is ready, and stops them so that what is in flight can finish.

import { mkdir } from "node:fs/promises";
import { BufferPool } from "../lib/buffer-pool.ts";
import { createChunkFetch } from "../lib/client/chunk-fetch.ts";
import { createDomainKeyResolver } from "../lib/domain-keys.ts";
import type { Hash, NodeId } from "../lib/hash.ts";
import type { LocalNodeStatus } from "../lib/node-status.ts";
import type { NodeFrame } from "../lib/registration.ts";
import { parseTunnelled } from "../lib/tunnel/passage.ts";
import { Collection } from "./collection/collection.ts";
import { type NodeConfig, repairRateOf } from "./config.ts";
import { Drain } from "./leaving/drain.ts";
import type { Announced } from "./leaving/intent.ts";
import { EdgeLink } from "./link/edge-link.ts";
import { RelayLinks } from "./link/relay-links.ts";
import { localStatusOf, publicStatusOf, type StatusSources } from "./node-status.ts";
import { keptHashes, onKept } from "./overlay/kept-hashes.ts";
import { Overlay } from "./overlay/overlay.ts";
import { type HomeNodeDeps, openParts, type Parts } from "./parts.ts";
import { createPledgedResolver } from "./pledged-resolver.ts";
import { Relay } from "./relay/relay.ts";
import { createNodeApp, type NodeAppDeps } from "./server/app.ts";
import { ByteBudget } from "./server/byte-budget.ts";
import { RECEIVED_FREE_BYTES_MAX, SENDING_BYTES_MAX, UPLOADS_AT_ONCE_MAX } from "./server/chunks.ts";
import { Doors } from "./server/doors.ts";
import { Grants } from "./server/grants.ts";
import { createLocalApp } from "./server/local-app.ts";
import type { Arrival } from "./server/node-context.ts";
import { PULL_LIMITS, PULLS_AT_ONCE_MAX } from "./server/pull.ts";
import { RateLimit } from "./server/rate.ts";
import { Slots } from "./server/request-body.ts";
import { lockDirectory } from "./store/directory-lock.ts";
import { Scrub } from "./store/scrub.ts";

const DIRECTORY_MODE = 0o700;

export interface HomeNode {
  /** Throws before the first start: the identity is read then. */
  readonly id: NodeId;
  /** Answers one request of the protocol, as the listener does. */
  fetch(request: Request): Promise<Response>;
  /** Returns when the node serves; links to edges go on in the background. `url` is the listener's origin, or null. */
  start(): Promise<{ id: NodeId; url: string | null }>;
  stop(): Promise<void>;
  /** What the volunteer may see. */
  status(): Promise<LocalNodeStatus>;
  /** Reads the file of denied hashes again; returns how many there are. */
  rereadDenied(): Promise<number>;
}

export function createHomeNode(config: NodeConfig, deps: HomeNodeDeps): HomeNode {
  let running: RunningNode | null = null;
  const current = (): RunningNode => {
    if (running === null) throw new TypeError("the home node is not started");
    return running;
  };
  return {
    get id() {
      return current().id;
    },
    fetch: (request) => current().fetch(request),
    start: async () => {
      if (running !== null) throw new TypeError("the home node is started already");
      const node = await startIn(config, deps);
      running = node;
      return { id: node.id, url: node.url };
    },
    stop: async () => {
      const node = running;
      running = null;
      await node?.stop();
    },
    status: () => current().status(),
    rereadDenied: () => current().rereadDenied(),
  };
}

/** Takes the folder and starts; where that fails, the folder is free again. */
async function startIn(config: NodeConfig, deps: HomeNodeDeps): Promise<RunningNode> {
  await mkdir(config.dir, { recursive: true, mode: DIRECTORY_MODE });
  const unlock = await lockDirectory(config.dir);
  try {
    const node = new RunningNode(config, await openParts(config, deps, unlock));
    await node.start();
    return node;
  } catch (error) {
    await unlock();
    throw error;
  }
}

class RunningNode {
  readonly #config: NodeConfig;
  readonly #parts: Parts;
  readonly #overlay: Overlay;
  readonly #links: EdgeLink[];
  readonly #relayLinks: RelayLinks;
  readonly #relay: Relay | null;
  readonly #doors: Doors;
  readonly #collection: Collection;
  readonly #drain: Drain;
  readonly #scrub: Scrub;
  readonly #onlineSince: string;
  readonly #answer: (request: Request, arrival: Arrival) => Promise<Response>;

  constructor(config: NodeConfig, parts: Parts) {
    this.#config = config;
    this.#parts = parts;
    this.#overlay = new Overlay({
      ...parts,
      ...{ dir: config.dir, join: config.join, edges: config.edges },
      url: () => this.#advertisedUrl(),
      relays: () => this.#relayLinks.relays(),
      everything: () => keptHashes(parts),
      onContacts: () => this.#relayLinks.refresh(),
    });
    onKept(parts, (hash) => this.#overlay.kept(hash));
    this.#links = config.edges.map((edge) => this.#createLink(edge));
    this.#relayLinks = this.#createRelayLinks();
    const [self, origin] = [parts.identity.id, () => this.#advertisedUrl()];
    this.#relay = config.relay ? new Relay({ ...parts, self, origin }) : null;
    this.#onlineSince = new Date(parts.clock.now()).toISOString();
    const app = createNodeApp(this.#appDeps());
    this.#answer = async (request, arrival) => app.fetch(request, arrival);
    const edges = () => this.#links.map((link) => link.registeredWith());
    this.#drain = new Drain({ ...parts, edges });
    this.#scrub = new Scrub({ ...parts, dir: config.dir, rate: config.scrubRate });
    parts.chunks.onLoss((chunk) => {
      for (const link of this.#links) link.reportLost(chunk);
      this.#scrub.want();
    });
    const local = createLocalApp({
      ...parts,
      status: () => this.status(),
      pause: (until) => this.#pause(until),
      leave: (isLeaving) => this.#leave(isLeaving),
    });
    this.#doors = new Doors(config, { open: this, local, upgrades: this.#relay, log: parts.log });
    this.#collection = new Collection({
      ...parts,
      dir: config.dir,
      everyMs: config.collectSeconds * 1000,
      edges: () => this.#links.map((link) => link.registeredWith()),
    });
  }

  get id(): NodeId {
    return this.#parts.identity.id;
  }

  /** The listener's origin, or null. */
  get url(): string | null {
    return this.#doors.url;
  }

  fetch(request: Request): Promise<Response> {
    return this.#answer(request, { way: "direct", edgeUrl: null });
  }

  async start(): Promise<void> {
    await this.#doors.start();
    this.#parts.log.info({ id: this.id, url: this.url }, "the home node is running");
    for (const link of this.#links) link.start();
    await this.#overlay.start();
    this.#relayLinks.start();
    await this.#collection.start();
    await this.#scrub.start();
    if (this.#parts.intent.leavingSince !== null) this.#drain.start();
  }

  /** Tells the edges first, so that they send nobody here while the last requests finish. */
  async stop(): Promise<void> {
    await Promise.all([this.#drain.stop(), this.#scrub.stop(), this.#collection.stop()]);
    await Promise.all([...this.#links, this.#relayLinks].map((links) => links.stop()));
    await this.#relay?.stop();
    await this.#overlay.stop();
    await this.#doors.stop();
    await this.#parts.intent.settle();
    await this.#parts.counters.stop();
    await this.#parts.charges.stop();
    await this.#parts.writeLog.stop();
    await this.#parts.unlock();
    this.#parts.log.info("the home node has stopped");
  }

  status(): Promise<LocalNodeStatus> {
    return localStatusOf(this.#statusSources());
  }

  async #pause(until: string | null): Promise<void> {
    await this.#parts.intent.pause(until);
    await this.#tellEdges({ type: "pause", until });
  }

  async #leave(isLeaving: boolean): Promise<void> {
    const { intent } = this.#parts;
    // Told again: it is at it.
    if (isLeaving === (intent.leavingSince !== null)) return;
    await intent.leave(isLeaving);
    await this.#tellEdges({ type: "leave", leaving: isLeaving });
    if (isLeaving) this.#drain.start();
    else await this.#drain.stop();
  }

  /** What was said, and what room there is since. */
  async #tellEdges(frame: NodeFrame): Promise<void> {
    const freeBytes = await this.#offeredBytes();
    for (const link of this.#links) {
      link.say(frame);
      link.say({ type: "room", freeBytes });
    }
  }

  /** A node that is about to go has room, and offers none. */
  async #offeredBytes(): Promise<number> {
    return this.#parts.intent.takesMore ? this.#parts.room.freeBytes() : 0;
  }

  async rereadDenied(): Promise<number> {
    await this.#parts.denied.load();
    return this.#parts.denied.size;
  }

  #statusSources(): StatusSources {
    const { pledge, name, diskReserveBytes } = this.#config;
    return {
      ...this.#parts,
      pledge,
      name,
      diskReserveBytes,
      overlay: this.#overlay,
      links: this.#links,
      relayLinks: this.#relayLinks,
      relay: this.#relay,
      onlineSince: this.#onlineSince,
      url: this.#advertisedUrl(),
      page: this.#doors.page,
      drain: this.#drain,
      scrub: this.#scrub,
    };
  }

  #appDeps(): NodeAppDeps {
    const { fetch, strangerFetch, clock, identity, charges, intent } = this.#parts;
    const { dohUrls, pledge } = this.#config;
    const dns = createDomainKeyResolver({ fetch, dohUrls, now: () => clock.now() });
    const resolver = createPledgedResolver(dns, pledge, clock);
    return {
      ...this.#parts,
      resolver,
      grants: new Grants({ node: identity.id, resolver, clock, charges }),
      uploadSlots: new Slots(UPLOADS_AT_ONCE_MAX),
      received: new BufferPool(RECEIVED_FREE_BYTES_MAX),
      sendingBytes: new ByteBudget(SENDING_BYTES_MAX),
      sending: new RateLimit(pledge.uploadRate, clock),
      receiving: new RateLimit(pledge.downloadRate, clock),
      pledge,
      fetchChunk: createChunkFetch(strangerFetch, PULL_LIMITS),
      repairing: new RateLimit(repairRateOf(this.#config), clock),
      pullSlots: new Slots(PULLS_AT_ONCE_MAX),
      takesMore: () => intent.takesMore,
      hours: pledge.hours ?? null,
      relay: this.#relay,
      overlay: this.#overlay,
      linkedEdges: () => this.#linkedEdges(),
      status: () => publicStatusOf(this.#statusSources()),
    };
  }

  #createLink(edge: string): EdgeLink {
    const { intent, log } = this.#parts;
    const { pledge, name } = this.#config;
    const named = name === null ? {} : { name };
    let hasAnnounced: Announced = {};
    return new EdgeLink(edge, {
      ...this.#parts,
      offer: async () => {
        hasAnnounced = intent.announcedTo(edge);
        return {
          url: this.#advertisedUrl(),
          pledge,
          freeBytes: await this.#offeredBytes(),
          ...named,
          ...hasAnnounced,
        };
      },
      expects: null,
      mayPass: parseTunnelled,
      onRegistered: () => {
        this.#relayLinks.refresh();
        if (hasAnnounced.lost !== true) return;
        intent.toldLost(edge).catch((error: unknown) => {
          log.error({ err: error }, "that the edge knows of the lost disk could not be written down");
        });
      },
      answer: (request) => this.#answer(request, { way: "tunnel", edgeUrl: edge }),
      learnContacts: (contacts) => this.#overlay.learn(contacts, edge),
      onEnd: () => undefined,
    });
  }

  #createRelayLinks(): RelayLinks {
    const { identity, log, strangerLookup } = this.#parts;
    return new RelayLinks({
      ...this.#parts,
      lookup: strangerLookup,
      candidates: () => this.#overlay.contacts.closest(identity.id),
      isNeeded: () => !this.#isReached(),
      // A relay is no edge of the volunteer's: it is answered what strangers are.
      answer: (request) => this.#answer(request, { way: "tunnel", edgeUrl: null }),
      onChange: () => {
        log.info({ relays: this.#relayLinks.relays() }, "reached through relays");
        this.#overlay.relaysChanged();
      },
    });
  }

  /** Whether others reach the node at a URL of its own: its edges say so, or have not said otherwise. */
  #isReached(): boolean {
    const verdicts = this.#links.flatMap((link) => link.reached ?? []);
    return this.#advertisedUrl() !== null && (verdicts.length === 0 || verdicts.includes(true));
  }

  #linkedEdges(): Set<Hash> {
    const registered = this.#links.map((link) => link.status()).filter((link) => link.state === "registered");
    return new Set(registered.flatMap((link) => link.edge ?? []));
  }

  /** The origin at which others are told to reach the node. */
  #advertisedUrl(): string | null {
    return this.#config.publicUrl ?? (this.#config.advertise ? this.url : null);
  }
}
