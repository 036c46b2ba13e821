// Rounds in which a process is ended by SIGKILL at a random moment of a publish or a read, on a network of real processes
// that lives through all of them. The short test and the long run are this code with other numbers. A SIGKILL takes away
// the process, not what the kernel has of its writes: power cuts are another matter.

import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdir, readFile, stat, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import type { LocalNetwork } from "../../cli/local/network.ts";
import { journalPath } from "../../cli/receipt-journal.ts";
import { UPLOADS_AT_ONCE } from "../../lib/client/uploader.ts";
import { parseName } from "../../lib/names.ts";
import type { SignedJson } from "../../lib/wire/signed.ts";
import { SeededRandom } from "../random.ts";
import { BadHolder, type Upload } from "./bad-holder.ts";
import { bareGet, chunksOf, getFile, judge, newPath, readOrNull, sha256 } from "./object-reads.ts";
import { Publisher } from "./publisher.ts";
import { endNetwork, sharedView, startNetwork } from "./setup.ts";

/** One more than there are copies, so that a publish can do without one. */
const HOLDERS = 4;
const REPLICAS = 3;
const MiB = 1024 * 1024;
const SIZE_BYTES = { min: 3 * MiB, max: 16 * MiB };
/** Reads are of an object that has several times the chunks that a reader has in flight. */
const READ_OBJECT_BYTES = 28 * MiB;
/** A command takes about this long until it sends or fetches its first chunk; so many are killed in it. */
const START_MS = 900;
const EARLY_SHARE = 0.15;
/** With all bytes sent, a publish has its Manifest and the commit before it: so many are killed there, within this time. */
const LATE_SHARE = 0.2;
const COMMIT_MS = 400;
const POLL_MS = 5;
const REPORT_TIMEOUT_MS = 60_000;
const MAIN = join(import.meta.dirname, "..", "..", "cli", "main.ts");

export const VICTIMS = ["publisher", "node", "edge", "publisher and edge", "node and edge"] as const;
export type Victim = (typeof VICTIMS)[number];
export interface Round {
  during: "publish" | "read";
  /** In a read, the publisher stands for the reader. */
  victim: Victim;
  moment: Moment;
}
/** After so many milliseconds, or when so much of the command's traffic has passed: a share of its bytes. */
export type Moment = { afterMs: number } | { afterShare: number };

export interface Figures {
  rounds: number;
  /** Commands that were acknowledged although something was killed, and those that a second run finished. */
  finishedAtOnce: number;
  finishedByAnother: number;
  /** Uploads of a chunk to a node that had answered for it before: in all, and most in a round. */
  sentAgain: number;
  sentAgainMost: number;
  uploads: number;
  /** Bytes of interrupted downloads that were there already, and that were fetched all the same. */
  keptBytes: number;
  fetchedAgainBytes: number;
  /** Whole objects read back and compared, by /obj and by `holdfast get`; single copies read from their holders. */
  readByObj: number;
  readByGet: number;
  copiesRead: number;
}

interface Acknowledged {
  name: string;
  file: string;
}

interface Command {
  process: ChildProcess;
  /** Exit code; null where it was killed. */
  done: Promise<number | null>;
}

export class CrashSite {
  readonly network: LocalNetwork;
  readonly #publisher: Publisher;
  readonly #holders: BadHolder[];
  readonly #objects: Acknowledged[] = [];
  readonly figures: Figures = {
    rounds: 0,
    finishedAtOnce: 0,
    finishedByAnother: 0,
    sentAgain: 0,
    sentAgainMost: 0,
    uploads: 0,
    keptBytes: 0,
    fetchedAgainBytes: 0,
    readByObj: 0,
    readByGet: 0,
    copiesRead: 0,
  };

  private constructor(network: LocalNetwork, publisher: Publisher, holders: BadHolder[]) {
    this.network = network;
    this.#publisher = publisher;
    this.#holders = holders;
  }

  static async start(): Promise<CrashSite> {
    const network = await startNetwork(0);
    const publisher = await Publisher.create(sharedView(network));
    const numbers = Array.from({ length: HOLDERS }, (_, i) => i);
    const options = { network, listener: true, domains: "all" };
    const holders = await Promise.all(numbers.map((number) => BadHolder.start({ ...options, number })));
    await network.waitForNodes(HOLDERS);
    const site = new CrashSite(network, publisher, holders);
    await site.#publishFirst();
    return site;
  }

  async stop(): Promise<void> {
    await Promise.all(this.#holders.map((holder) => holder.stop()));
    await endNetwork(this.network);
  }

  /** Kills, starts again, finishes what was broken off, and checks. Throws where a claim does not hold. */
  async run(round: Round, random: SeededRandom): Promise<void> {
    this.figures.rounds += 1;
    if (round.during === "publish") await this.#runPublish(round, random);
    else await this.#runRead(round, random);
  }

  /** Reads every acknowledged object, or the newest and `others` of the rest by `get`; all of them by /obj. */
  async checkAll(random: SeededRandom, others = Number.POSITIVE_INFINITY): Promise<void> {
    const [newest, ...rest] = this.#objects.toReversed();
    for (const object of this.#objects) await this.#checkObj(object);
    if (newest === undefined) return;
    for (const object of [newest, ...random.shuffled(rest).slice(0, others)]) await this.#checkGet(object);
  }

  /** Reads each copy of each chunk from its holder, of the newest objects. */
  async checkCopies(newest = Number.POSITIVE_INFINITY): Promise<void> {
    for (const { name } of this.#objects.toReversed().slice(0, newest)) {
      const chunks = await chunksOf(this.#publisher, name);
      for (const { hash } of chunks) await this.#checkCopiesOf(name, hash);
    }
  }

  /** Publishes with a journal that holds `receipt`; throws where that fails. */
  async publishWithJournal(receipt: (publisher: Publisher) => Promise<SignedJson>): Promise<void> {
    const object = await this.#newObject(new SeededRandom("journal"), SIZE_BYTES.min);
    const { domain } = this.#publisher;
    const env = { XDG_STATE_HOME: this.network.dir };
    const path = journalPath(env, this.network.edgeUrl, { domain, name: parseName(object.name) });
    await mkdir(dirname(path), { recursive: true });
    await writeFile(path, `${JSON.stringify(await receipt(this.#publisher))}\n`);
    if ((await this.#publish(object).done) !== 0) throw new Error(`${object.name} is not published`);
    if ((await readOrNull(path)) !== null) throw new Error("the journal outlives its publish");
    this.#objects.push(object);
  }

  async #publishFirst(): Promise<void> {
    const object = await this.#newObject(new SeededRandom("first"), READ_OBJECT_BYTES);
    if ((await this.#publish(object).done) !== 0) throw new Error("a publish fails with nothing killed");
    this.#objects.push(object);
  }

  async #runPublish(round: Round, random: SeededRandom): Promise<void> {
    const sizeBytes = random.between(SIZE_BYTES.min, SIZE_BYTES.max);
    const object = await this.#newObject(random, sizeBytes);
    const uploadsBefore = this.#uploads();
    const command = this.#publish(object);
    const sentBefore = this.#sentBytes();
    const sent = async () => this.#sentBytes() - sentBefore;
    await this.#killDuring(command, round, { bytes: sizeBytes * REPLICAS, done: sent }, random);
    const code = await command.done;
    await this.#startAgain();
    if (code === 0) this.figures.finishedAtOnce += 1;
    else {
      const again = await this.#publish(object).done;
      if (again !== 0) throw new Error(`publishing ${object.name} again ended with ${again}: see its log`);
      this.figures.finishedByAnother += 1;
    }
    this.#objects.push(object);
    this.#noteUploads(uploadsBefore);
  }

  async #runRead(round: Round, random: SeededRandom): Promise<void> {
    const [object] = this.#objects;
    if (object === undefined) throw new TypeError("nothing is published yet");
    const content = await readFile(object.file);
    const path = newPath(this.#publisher);
    const command = this.#get(object, path);
    const written = () => sizeOf(`${path}.part`);
    const answer = passed(command, 1, written).then(() => bareGet(this.#publisher.objectUrl(object.name)));
    await this.#killDuring(command, round, { bytes: content.length, done: written }, random);
    const [code, verdict] = [await command.done, judge(await answer, content)];
    await this.#startAgain();
    if (verdict === "corrupt")
      throw new Error(`/obj of ${object.name} gave wrong bytes, or ended cleanly too early`);
    const file = await readOrNull(path);
    // One that was killed may have finished just before: its file has the name only when it is whole.
    if (code !== 0 && file === null) return this.#resume(object, content, path);
    if (file?.equals(content) !== true)
      throw new Error(`get of ${object.name} ended with ${code}, and ${path} is not identical`);
    this.figures.finishedAtOnce += 1;
  }

  /** An interrupted download goes on from what it left, and fetches nothing that is there whole. */
  async #resume(object: Acknowledged, content: Buffer, path: string): Promise<void> {
    const part = (await readOrNull(`${path}.part`)) ?? Buffer.alloc(0);
    const chunks = await chunksOf(this.#publisher, object.name);
    const kept = chunks.filter(({ offset, size }) => offset + size <= part.length);
    const keptBytes = kept.reduce((sum, { size }) => sum + size, 0);
    const before = this.#servedBytes();
    const { code, file, stderr } = await getFile(this.#publisher, object.name, path);
    if (code !== 0 || file?.equals(content) !== true)
      throw new Error(`get of ${object.name} again: ${code} ${stderr}`);
    const fetchedBytes = this.#servedBytes() - before;
    this.figures.finishedByAnother += 1;
    this.figures.keptBytes += keptBytes;
    this.figures.fetchedAgainBytes += Math.max(0, fetchedBytes - (content.length - keptBytes));
  }

  /** Waits for the moment, and kills. Returns when the victims are gone. */
  async #killDuring(
    command: Command,
    { victim, moment }: Round,
    work: { bytes: number; done: () => Promise<number> },
    random: SeededRandom,
  ): Promise<void> {
    const { node } = random.pick(this.#holders);
    if ("afterMs" in moment) await delay(moment.afterMs);
    else {
      await passed(command, Math.min(1, moment.afterShare) * work.bytes, work.done);
      if (moment.afterShare > 1) await delay(random.next() * COMMIT_MS);
    }
    if (victim.includes("publisher")) command.process.kill("SIGKILL");
    if (victim.includes("node")) await node.end();
    if (victim.includes("edge")) await this.network.edge.end();
  }

  /** Starts whoever was killed. Nodes that lost their edge are still on their way back to it when this returns. */
  async #startAgain(): Promise<void> {
    if (!this.network.edge.isRunning) await this.network.startEdge();
    const killed = this.#holders.filter(({ node }) => !node.isRunning);
    for (const { node } of killed) node.start();
    for (const holder of killed) await until(`${holder.name} is registered`, () => isRegistered(holder));
    await this.network.waitForNodes(HOLDERS);
  }

  async #checkObj({ name, file }: Acknowledged): Promise<void> {
    const answer = await bareGet(this.#publisher.objectUrl(name));
    const verdict = judge(answer, await readFile(file));
    if (verdict !== "whole")
      throw new Error(`/obj of the acknowledged ${name} is ${verdict} (${answer.status})`);
    this.figures.readByObj += 1;
  }

  async #checkGet({ name, file }: Acknowledged): Promise<void> {
    const got = await getFile(this.#publisher, name);
    const isRight = got.file?.equals(await readFile(file)) === true;
    if (got.code !== 0 || !isRight)
      throw new Error(`get of the acknowledged ${name}: ${got.code} ${got.stderr}`);
    this.figures.readByGet += 1;
  }

  async #checkCopiesOf(name: string, hash: string): Promise<void> {
    const answers = await Promise.all(this.#holders.map(({ url }) => fetch(`${url}/chunk/${hash}`)));
    const bodies = await Promise.all(answers.map((answer) => answer.arrayBuffer()));
    const good = bodies.filter(
      (body, i) => answers[i]?.status === 200 && sha256(new Uint8Array(body)) === hash,
    );
    if (good.length < REPLICAS) {
      throw new Error(`chunk ${hash} of the acknowledged ${name} has ${good.length} copies, not ${REPLICAS}`);
    }
    this.figures.copiesRead += good.length;
  }

  async #newObject(random: SeededRandom, sizeBytes: number): Promise<Acknowledged> {
    const name = `object-${this.figures.rounds}`;
    return { name, file: await this.#publisher.writeFile(name, random.bytes(sizeBytes)) };
  }

  #publish({ name, file }: Acknowledged): Command {
    const { domain, keyFile, author } = this.#publisher;
    return this.#command("publish", file, `${domain}/${name}`, "--key", keyFile, "--author", author);
  }

  #get({ name }: Acknowledged, path: string): Command {
    return this.#command("get", `${this.#publisher.domain}/${name}`, "-o", path);
  }

  #command(...args: string[]): Command {
    const { configFile, dir } = this.#publisher.network;
    const child = spawn(process.execPath, [MAIN, ...args], {
      stdio: ["ignore", "ignore", "inherit"],
      env: { ...process.env, HOLDFAST_CONFIG: configFile, XDG_STATE_HOME: dir },
    });
    return { process: child, done: once(child, "close").then(([code]) => code) };
  }

  #uploads(): Upload[] {
    return this.#holders.flatMap(({ uploads }) => uploads);
  }

  #sentBytes(): number {
    return this.#uploads().reduce((sum, { bytes }) => sum + bytes, 0);
  }

  #servedBytes(): number {
    return this.#holders.reduce((sum, { servedBytes }) => sum + servedBytes, 0);
  }

  /** Counts uploads to a node that had answered for the chunk before; at most what was in flight may be. */
  #noteUploads(before: readonly Upload[]): void {
    const known = new Set(before);
    let sentAgain = 0;
    for (const { uploads } of this.#holders) {
      const answered = new Set<string>();
      for (const upload of uploads) {
        if (answered.has(upload.hash) && !known.has(upload)) sentAgain += 1;
        if (upload.status !== null && upload.status < 300) answered.add(upload.hash);
      }
    }
    this.figures.uploads += this.#uploads().length - before.length;
    this.figures.sentAgain += sentAgain;
    this.figures.sentAgainMost = Math.max(this.figures.sentAgainMost, sentAgain);
    if (sentAgain > UPLOADS_AT_ONCE) {
      throw new Error(
        `${sentAgain} chunks were sent again to nodes that had them; ${UPLOADS_AT_ONCE} may be in flight`,
      );
    }
  }
}

/** Returns once so many bytes are done, or the command has ended. */
async function passed({ process }: Command, bytes: number, done: () => Promise<number>): Promise<void> {
  const isRunning = () => process.exitCode === null && process.signalCode === null;
  while (isRunning() && (await done()) < bytes) await delay(POLL_MS);
}

async function sizeOf(path: string): Promise<number> {
  try {
    return (await stat(path)).size;
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "ENOENT") return 0;
    throw error;
  }
}

async function isRegistered({ url }: BadHolder): Promise<boolean> {
  try {
    const response = await fetch(`${url}/status`);
    const { edges } = (await response.json()) as { edges?: { state: string }[] };
    return edges?.[0]?.state === "registered";
  } catch {
    return false;
  }
}

async function until(what: string, isSo: () => Promise<boolean>): Promise<void> {
  const deadline = performance.now() + REPORT_TIMEOUT_MS;
  while (!(await isSo())) {
    if (performance.now() > deadline) throw new Error(`waited in vain until ${what}`);
    await delay(POLL_MS);
  }
}

/** A round drawn at random. */
export function drawRound(random: SeededRandom): Round {
  const share = random.next();
  return {
    during: random.next() < 0.65 ? "publish" : "read",
    victim: random.pick(VICTIMS),
    moment: share < EARLY_SHARE ? { afterMs: random.next() * START_MS } : { afterShare: afterShareOf(share) },
  };
}

function afterShareOf(drawn: number): number {
  return drawn > 1 - LATE_SHARE ? 2 : (drawn - EARLY_SHARE) / (1 - EARLY_SHARE - LATE_SHARE);
}
