// A whole Holdfast on one machine: a DNS-over-HTTPS responder, an edge (wrangler dev) and home nodes, each a process
// of its own, with their state under one folder. `npm start` runs one; so do the end-to-end tests.

import { existsSync } from "node:fs";
import { appendFile, mkdir, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { lockDirectory } from "../../home-node/store/directory-lock.ts";
import { parseDomain } from "../../lib/names.ts";
import { parsePublicKeyLine } from "../../lib/openssh-key.ts";
import { type EdgeStatus, parseEdgeStatus } from "../../lib/wire/status.ts";
import { Child } from "./child.ts";
import { createDohResponder, type DohResponder } from "./doh-responder.ts";
import { becomesFree, freePort } from "./free-port.ts";
import { makeKeyFiles } from "./key-files.ts";
import { formatDomainZone } from "./zone-records.ts";

export const DEFAULT_PORT = 8787;
export const DEFAULT_NODES = 5;
/** Of the default nodes, those without a listener: most volunteers are behind NAT, and reached by relay only. */
export const DEFAULT_RELAYED = 2;
export const SAMPLE_DOMAIN = "example.test";
export const READY_TIMEOUT_MS = 60_000;
const READY_POLL_MS = 200;
const PORT_FREE_TIMEOUT_MS = 3000;
/** Ports beside the edge's: the responder's, then the nodes'. Any free one is taken where these are not. */
const DOH_PORT_OFFSET = 1;
const NODE_PORT_OFFSET = 10;
const SHARD_DEPTH = 4;
/**
 * Nothing is asked of the outside: no version check, no figures, no place to look up. And nothing is traced: wrangler
 * records every call of a Durable Object in a database of its own, which takes half of the edge's processor time.
 */
export const WRANGLER_ENVIRONMENT = {
  WRANGLER_SEND_METRICS: "false",
  CLOUDFLARE_CF_FETCH_ENABLED: "false",
  WRANGLER_HIDE_BANNER: "true",
  X_LOCAL_OBSERVABILITY: "false",
};

export interface LocalNetworkOptions {
  /** Folder of all state; a later start goes on from it. */
  dir: string;
  port?: number;
  nodes?: number;
  /** How many of them, the last ones, have no listener. */
  relayed?: number;
  /** What each node pledges, as `node run --pledge` takes it. */
  pledge?: string;
  /** Settings of the edge in place of those of wrangler.toml and the local ones, as `wrangler dev --var` takes them. */
  settings?: Readonly<Record<string, string>>;
  /** Called with a line for each step, for people. */
  tell?: (line: string) => void;
}

/** How one node differs from the others. */
export interface NodeOptions {
  /** It has no listener, and is reached by relay only. */
  relayed: boolean;
  /** Flags of `node run` beside those that every node is given; of two of a kind, these count. */
  flags?: readonly string[];
}

export interface LocalNode {
  name: string;
  /** Its folder: identity, chunks, Versions. */
  dir: string;
  /** Null for a node without a listener. */
  url: string | null;
  process: Child;
}

/** What `holdfast` reads from `.holdfast/config.json`. */
export interface LocalConfig {
  edges: string[];
  doh: string[];
}

export class LocalNetwork {
  readonly dir: string;
  readonly zoneFile: string;
  readonly configFile: string;
  readonly sampleKeyFile: string;
  readonly nodes: LocalNode[] = [];
  edgeUrl = "";
  dohUrl = "";
  #edge: Child | null = null;
  #responder: DohResponder | null = null;
  #unlock: (() => Promise<void>) | null = null;
  #nodesMade = 0;
  /** Whoever may publish the sample may also block. */
  #operatorKeys = "";
  #isRebuilding = false;
  readonly #options: Required<LocalNetworkOptions>;

  constructor(options: LocalNetworkOptions) {
    this.#options = {
      port: DEFAULT_PORT,
      nodes: DEFAULT_NODES,
      relayed: DEFAULT_RELAYED,
      pledge: "20GB",
      settings: {},
      tell: () => undefined,
      ...options,
    };
    this.dir = options.dir;
    this.zoneFile = join(this.dir, "zone");
    this.configFile = join(this.dir, "config.json");
    this.sampleKeyFile = join(this.dir, "keys", SAMPLE_DOMAIN);
  }

  /** Starts everything and returns when all nodes are registered. Throws with the log of what did not start. */
  async start(): Promise<void> {
    for (const folder of ["keys", "logs", "nodes"]) await mkdir(join(this.dir, folder), { recursive: true });
    this.#unlock = await lockDirectory(this.dir);
    const hadNodes = (await readdir(join(this.dir, "nodes"))).length > 0;
    this.#isRebuilding = hadNodes && !existsSync(join(this.dir, "edge"));
    await this.#prepare();
    await this.#startResponder();
    await this.startEdge();
    const { nodes, relayed } = this.#options;
    for (let i = 0; i < nodes; i++) await this.addNode({ relayed: i >= nodes - relayed });
    await this.#writeConfig();
    const processes = [this.edge, ...this.nodes.map((node) => node.process)];
    await this.#waitFor(processes, () => this.#areOnline(this.nodes.length));
  }

  async stop(): Promise<void> {
    await Promise.all(this.nodes.map((node) => node.process.stop()));
    await this.#edge?.stop();
    await this.#responder?.stop();
    await this.#unlock?.();
  }

  /** Ends every process at once, for an exit that cannot wait. */
  killAll(): void {
    for (const node of this.nodes) node.process.kill("SIGKILL");
    this.#edge?.kill("SIGKILL");
  }

  /** True where the edge began without its index beside home nodes that had begun before: they bring it back. */
  get isRebuilding(): boolean {
    return this.#isRebuilding;
  }

  get edge(): Child {
    if (this.#edge === null) throw new TypeError("the edge has not been started");
    return this.#edge;
  }

  /** Starts the edge, also again after it was ended. */
  async startEdge(): Promise<void> {
    const { port, tell } = this.#options;
    this.edgeUrl = `http://localhost:${port}`;
    if (!(await becomesFree(port, PORT_FREE_TIMEOUT_MS))) {
      throw new Error(`port ${port} is in use: end what listens there, or set PORT to another one`);
    }
    tell(`edge: wrangler dev on ${this.edgeUrl}`);
    this.#edge = new Child({ name: "edge", ...this.#edgeCommand(port), logFile: this.#logFile("edge") });
    this.#edge.start();
    await this.#waitFor([this.#edge], async () => (await this.#edgeStatus()) !== null);
  }

  /** Waits until `count` nodes are online at the edge. */
  async waitForNodes(count: number): Promise<void> {
    await this.#waitFor([this.edge], () => this.#areOnline(count));
  }

  /** The folder of the node that is added next: it may be made beforehand. */
  get nextNodeDir(): string {
    return join(this.dir, "nodes", String(this.#nodesMade + 1));
  }

  /** Starts one more node, which registers on its own. */
  async addNode({ relayed, flags = [] }: NodeOptions): Promise<LocalNode> {
    const dir = this.nextNodeDir;
    this.#nodesMade += 1;
    const number = this.#nodesMade;
    const name = `node-${number}`;
    const url = relayed ? null : await this.#nodeUrl(number);
    const child = new Child({
      name,
      command: process.execPath,
      args: [
        ...[projectFile("cli/main.ts"), "node", "run", "--dir", dir],
        ...["--edge", this.edgeUrl, "--doh", this.dohUrl, "--pledge", this.#options.pledge],
        ...["--domains", "all"],
        ...(url === null ? ["--no-listen"] : ["--listen", new URL(url).host, "--url", url]),
        ...flags,
      ],
      logFile: this.#logFile(name),
    });
    child.start();
    const node = { name, dir, url, process: child };
    this.nodes.push(node);
    return node;
  }

  /** Takes a node away for good, with all that it kept, and tells nobody: as a disk does that dies. */
  async destroyNode(node: LocalNode): Promise<void> {
    const at = this.nodes.indexOf(node);
    if (at < 0) throw new RangeError(`${node.name} is not of this network`);
    this.nodes.splice(at, 1);
    await node.process.end();
    await rm(node.dir, { recursive: true });
  }

  async #areOnline(count: number): Promise<boolean> {
    return ((await this.#edgeStatus())?.nodes.online ?? 0) >= count;
  }

  async #prepare(): Promise<void> {
    await writeFile(this.zoneFile, "", { flag: "a" });
    await makeKeyFiles(join(this.dir, "keys", "edge"), "edge");
    await makeKeyFiles(this.sampleKeyFile, SAMPLE_DOMAIN);
    await this.#addSampleRecords();
    this.#operatorKeys = (await readFile(`${this.sampleKeyFile}.pub`, "utf8")).trim();
    const key = await readFile(join(this.dir, "keys", "edge"), "utf8");
    await writeFile(join(this.dir, "edge.env"), `EDGE_KEY=${JSON.stringify(key)}\n`, { mode: 0o600 });
  }

  async #addSampleRecords(): Promise<void> {
    const { blob } = parsePublicKeyLine(await readFile(`${this.sampleKeyFile}.pub`, "utf8"));
    const records = formatDomainZone(parseDomain(SAMPLE_DOMAIN), blob, []);
    if (!(await readFile(this.zoneFile, "utf8")).includes(records)) await appendFile(this.zoneFile, records);
  }

  async #startResponder(): Promise<void> {
    const port = await freePort(this.#options.port + DOH_PORT_OFFSET);
    this.#responder = createDohResponder({ zoneFile: this.zoneFile, port });
    this.dohUrl = (await this.#responder.start()).url;
    this.#options.tell(`DNS: ${this.dohUrl}, answering from ${this.zoneFile}`);
  }

  #edgeCommand(port: number): { command: string; args: string[]; env: NodeJS.ProcessEnv } {
    const vars = {
      SHARD_DEPTH: String(SHARD_DEPTH),
      FAILURE_DOMAIN: "node",
      ALLOW_LOCAL_NODES: "true",
      DOH_URLS: this.dohUrl,
      OPERATOR_KEYS: this.#operatorKeys,
      RATE_LIMITS: "off",
      ...this.#options.settings,
    };
    return {
      command: process.execPath,
      args: [
        wranglerProgram(),
        ...["dev", "--config", projectFile("wrangler.toml"), "--ip", "127.0.0.1", "--port", String(port)],
        ...["--inspector-port", "0", "--show-interactive-dev-session=false", "--log-level", "warn"],
        // An operator's wrangler.toml has routes: the edge would take their host name for the one it was asked under.
        "--infer-origin-from-routes=false",
        ...["--persist-to", join(this.dir, "edge"), "--env-file", join(this.dir, "edge.env")],
        ...Object.entries(vars).flatMap(([name, value]) => ["--var", `${name}:${value}`]),
      ],
      env: WRANGLER_ENVIRONMENT,
    };
  }

  async #nodeUrl(number: number): Promise<string> {
    const port = await freePort(this.#options.port + NODE_PORT_OFFSET + number);
    return `http://127.0.0.1:${port}`;
  }

  async #writeConfig(): Promise<void> {
    const config: LocalConfig = { edges: [this.edgeUrl], doh: [this.dohUrl] };
    await writeFile(this.configFile, `${JSON.stringify(config, null, 2)}\n`);
  }

  async #edgeStatus(): Promise<EdgeStatus | null> {
    try {
      const response = await fetch(`${this.edgeUrl}/status`, { signal: AbortSignal.timeout(5000) });
      return response.ok ? parseEdgeStatus(await response.json()) : null;
    } catch (error) {
      if (error instanceof TypeError || error instanceof DOMException) return null; // not listening yet
      throw error;
    }
  }

  /** Waits until `isReady`, as long as all of `children` run. */
  async #waitFor(children: Child[], isReady: () => Promise<boolean>): Promise<void> {
    const deadline = Date.now() + READY_TIMEOUT_MS;
    while (!(await isReady())) {
      const ended = children.find((child) => !child.isRunning);
      if (ended !== undefined)
        throw new Error(`${ended.name} ended: see ${ended.logFile}\n${ended.logTail()}`);
      if (Date.now() > deadline)
        throw new Error(`not ready after ${READY_TIMEOUT_MS / 1000} s: see ${this.dir}/logs`);
      await new Promise((resolve) => setTimeout(resolve, READY_POLL_MS));
    }
  }

  #logFile(name: string): string {
    return join(this.dir, "logs", `${name}.log`);
  }
}

/** wrangler's own entry point, wherever npm put the package. */
function wranglerProgram(): string {
  return join(dirname(createRequire(import.meta.url).resolve("wrangler/package.json")), "bin", "wrangler.js");
}

function projectFile(path: string): string {
  return join(import.meta.dirname, "..", "..", path);
}
