// A chaos run: home nodes, an edge, publishers and readers as processes and sockets, harmed round by round. At most as much
// is harmed at once as the redundancy stands, and the next round waits until every chunk is on its target again, by what
// lies on the nodes' disks.

import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import type { LocalNetwork } from "../../../cli/local/network.ts";
import type { Redundancy } from "../../../lib/manifest.ts";
import { parseEdgeStatus } from "../../../lib/wire/status.ts";
import { SeededRandom } from "../../random.ts";
import { Publisher } from "../publisher.ts";
import { endNetwork, sharedView, startNetwork } from "../setup.ts";
import { AcknowledgedList } from "./acknowledged.ts";
import { Disks, deleteFiles, flipFiles } from "./disks.ts";
import { describeRound, drawRound, type Harm, type Round, type Trouble } from "./faults.ts";
import { Load, type LoadFigures } from "./load.ts";
import { type ReadBack, readBack } from "./read-back.ts";
import { CONTROL_SETTINGS, repairSettings } from "./settings.ts";
import { Slots } from "./slots.ts";
import { type Shortage, Wanted } from "./wanted.ts";

const POLL_MS = 1000;
/** Where nothing repairs, the next round follows after this long. */
const CONTROL_PAUSE_MS = 4000;
/** Acknowledged before the first harm. */
const FIRST_OBJECTS = 12;
const _REGISTER_TIMEOUT_MS = 120_000;

export interface ChaosOptions {
  seed: string;
  nodes: number;
  redundancy: Redundancy;
  /** Nodes destroyed at once. */
  kill: number;
  /** False: neither sweeps nor audits, as a control. */
  repairs: boolean;
  /** Of each node. */
  auditsPerDay: number;
  publishers: number;
  readers: number;
  /** Longest pause between what one of them does. */
  pauseMs: number;
  /** A round that is not back on target by then has failed. */
  roundTimeoutMs: number;
  tell: (line: string) => void;
}

export interface RoundResult {
  harm: Harm["kind"];
  /** Until every chunk was on target again; null where it was not in time. */
  backAfterMs: number | null;
}

export interface ChaosFigures extends LoadFigures {
  /** False in the control. */
  repairs: boolean;
  acknowledged: number;
  acknowledgedBytes: number;
  rounds: RoundResult[];
  destroyed: number;
  flippedFiles: number;
  deletedFiles: number;
  pauses: number;
  edgeKills: number;
  /** At the end. */
  wantedChunks: number;
  shortChunks: number;
  lostChunks: number;
  /** Chunks below target by the edge's own word. */
  edgeShort: number;
  readBack: ReadBack;
}

/** What may stand at the end of a run of which nothing was lost. */
export function isUnharmed({ wrong, shortChunks, edgeShort, readBack: { lost } }: ChaosFigures): boolean {
  return wrong.length === 0 && shortChunks === 0 && edgeShort === 0 && lost.length === 0;
}

export class ChaosSite {
  readonly #options: ChaosOptions;
  readonly #network: LocalNetwork;
  readonly #publisher: Publisher;
  readonly #slots: Slots;
  readonly #list: AcknowledgedList;
  readonly #load: Load;
  readonly #disks = new Disks();
  readonly #wanted: Wanted;
  readonly #done = { destroyed: 0, flippedFiles: 0, deletedFiles: 0, pauses: 0, edgeKills: 0 };
  readonly #rounds: RoundResult[] = [];

  private constructor(
    options: ChaosOptions,
    parts: { network: LocalNetwork; publisher: Publisher; list: AcknowledgedList; load: Load },
  ) {
    this.#options = options;
    this.#network = parts.network;
    this.#publisher = parts.publisher;
    this.#list = parts.list;
    this.#load = parts.load;
    this.#slots = new Slots(parts.network, options.nodes);
    this.#wanted = new Wanted();
  }

  static async start(options: ChaosOptions): Promise<ChaosSite> {
    const settings = options.repairs ? repairSettings(options.auditsPerDay) : CONTROL_SETTINGS;
    const network = await startNetwork(0, 0, settings);
    const publisher = await Publisher.create(sharedView(network));
    const list = new AcknowledgedList(join(network.dir, "acknowledged.jsonl"));
    const load = await Load.create({ ...options, publisher }, list);
    const site = new ChaosSite(options, { network, publisher, list, load });
    options.tell(`state and logs: ${network.dir}`);
    await site.#begin();
    return site;
  }

  /** `keeps` leaves the folder for whoever looks into what went wrong. */
  async stop(keeps = false): Promise<void> {
    for (const { process } of this.#slots.nodes) process.kill("SIGCONT");
    await this.#load.stop();
    await Promise.all(this.#slots.nodes.map(({ process }) => process.end()));
    this.#slots.stop();
    await (keeps ? this.#network.stop() : endNetwork(this.#network));
  }

  /** Harms the network, and returns when it has recovered, or had the time to. */
  async run(number: number): Promise<RoundResult> {
    const { seed, nodes, kill, tell } = this.#options;
    const random = new SeededRandom(seed, "round", number);
    const round = drawRound(random, { slots: nodes, kill });
    tell(`round ${number}: ${describeRound(round)}`);
    return this.do(round, random);
  }

  /** Does what a round says. */
  async do({ harm, troubles }: Round, random: SeededRandom): Promise<RoundResult> {
    const { repairs, tell } = this.#options;
    const passing = Promise.all(troubles.map((trouble) => this.#trouble(trouble)));
    await this.#harm(harm, random);
    const start = performance.now();
    await passing;
    await this.#slots.fill();
    const isBack = repairs ? await this.#isBackOnTarget() : await delay(CONTROL_PAUSE_MS, false);
    const backAfterMs = isBack ? performance.now() - start : null;
    const result = { harm: harm.kind, backAfterMs };
    this.#rounds.push(result);
    if (repairs)
      tell(
        backAfterMs === null
          ? `  not back on target: ${this.#shortageText()}`
          : `  back after ${seconds(backAfterMs)}`,
      );
    return result;
  }

  /** All harm has ended: reads back what was acknowledged, and counts what lies where. */
  async finish(options: { gets: number }): Promise<ChaosFigures> {
    const { tell, repairs } = this.#options;
    await this.#load.stop();
    await this.#network.waitForNodes(this.#options.nodes);
    if (repairs) {
      await this.#isBackOnTarget();
      await this.#until(async () => (await this.#edgeShort()) === 0);
    }
    const { wanted, short, nowhere } = this.#shortage();
    tell(`reading back ${this.#list.all.length} objects`);
    const found = await readBack(this.#list.all, {
      publisher: this.#publisher,
      load: this.#load,
      ...options,
    });
    return {
      ...this.#load.figures,
      ...this.#done,
      repairs,
      acknowledged: this.#list.all.length,
      acknowledgedBytes: this.#list.bytes,
      rounds: this.#rounds,
      wantedChunks: wanted,
      shortChunks: short.length,
      lostChunks: nowhere.length,
      edgeShort: await this.#edgeShort(),
      readBack: found,
    };
  }

  async #begin(): Promise<void> {
    const { seed, nodes, tell } = this.#options;
    await this.#slots.fill();
    await this.#network.waitForNodes(nodes);
    const random = new SeededRandom(seed, "first objects");
    for (let i = 0; i < FIRST_OBJECTS; i++) await this.#load.publishOne(random);
    tell(`${nodes} nodes are registered, ${FIRST_OBJECTS} objects are published`);
    this.#load.start();
  }

  async #harm(harm: Harm, random: SeededRandom): Promise<void> {
    if (harm.kind === "destroy") {
      await Promise.all(harm.slots.map((slot) => this.#slots.destroy(slot)));
      this.#done.destroyed += harm.slots.length;
      return;
    }
    const node = this.#slots.at(harm.slot);
    if (harm.kind === "flip") this.#done.flippedFiles += flipFiles(node, harm.share, random);
    else this.#done.deletedFiles += deleteFiles(node, harm.share, random);
  }

  async #trouble(trouble: Trouble): Promise<void> {
    if (trouble.kind === "edge") {
      this.#done.edgeKills += 1;
      await this.#network.edge.end();
      await delay(trouble.forMs);
      return this.#network.startEdge();
    }
    this.#done.pauses += 1;
    const { process } = this.#slots.at(trouble.slot);
    process.kill("SIGSTOP");
    await delay(trouble.forMs);
    process.kill("SIGCONT");
  }

  /** By what lies on the disks. */
  #isBackOnTarget(): Promise<boolean> {
    return this.#until(async () => this.#shortage().short.length === 0);
  }

  async #until(isSo: () => Promise<boolean>): Promise<boolean> {
    const deadline = performance.now() + this.#options.roundTimeoutMs;
    while (performance.now() < deadline) {
      if (await isSo()) return true;
      await delay(POLL_MS);
    }
    return false;
  }

  /** Chunks below their target, as the edge itself says. */
  async #edgeShort(): Promise<number> {
    const response = await fetch(`${this.#network.edgeUrl}/status`);
    return parseEdgeStatus(await response.json()).repairs?.short ?? 0;
  }

  #shortage(): Shortage {
    return this.#wanted.compare(this.#list.all, this.#disks.survey(this.#slots.nodes));
  }

  #shortageText(): string {
    const { wanted, short, nowhere } = this.#shortage();
    return `${short.length} of ${wanted} chunks are short, ${nowhere.length} lie nowhere`;
  }
}

function seconds(ms: number): string {
  return `${(ms / 1000).toFixed(1)} s`;
}
