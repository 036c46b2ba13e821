// A publisher with a domain of its own: a key, its record in the zone file, and the real
// command in a process of its own.

import { execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { appendFile, mkdtemp, readFile, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { promisify } from "node:util";
import { makeKeyFiles } from "../../cli/local/key-files.ts";
import { importSigner } from "../../lib/ed25519.ts";
import { type Domain, parseDomain } from "../../lib/names.ts";
import { parsePrivateKeyFile } from "../../lib/openssh-key.ts";
import { createStatementSigner, type StatementSigner } from "../../lib/sshsig.ts";
import { findProgram } from "./requires.ts";
import type { SharedNetwork } from "./setup.ts";

export const run = promisify(execFile);
const MAIN = join(import.meta.dirname, "..", "..", "cli", "main.ts");
let domains = 0;

export interface CliResult {
  code: number;
  stdout: string;
  stderr: string;
}

/** Runs `holdfast` with the network's configuration. Its standard output is taken as text. */
export async function holdfast(
  network: Pick<SharedNetwork, "configFile">,
  args: string[],
  options: { input?: string; env?: NodeJS.ProcessEnv } = {},
): Promise<CliResult> {
  const child = spawn(process.execPath, [MAIN, ...args], {
    stdio: ["pipe", "pipe", "pipe"],
    env: {
      ...process.env,
      HOLDFAST_CONFIG: network.configFile,
      XDG_STATE_HOME: dirname(network.configFile),
      ...options.env,
    },
  });
  const output = { stdout: "", stderr: "" };
  child.stdout.setEncoding("utf8").on("data", (text: string) => {
    output.stdout += text;
  });
  child.stderr.setEncoding("utf8").on("data", (text: string) => {
    output.stderr += text;
  });
  child.stdin.end(options.input ?? "");
  const [code] = await once(child, "close");
  return { code: Number(code), ...output };
}

/** By the real ssh-keygen where the machine has it. */
export async function makeKey(file: string, comment: string): Promise<void> {
  if (findProgram("ssh-keygen") === null) return makeKeyFiles(file, comment);
  await run("ssh-keygen", ["-q", "-t", "ed25519", "-N", "", "-C", comment, "-f", file]);
}

export class Publisher {
  readonly network: SharedNetwork;
  readonly domain: Domain;
  readonly author: string;
  readonly folder: string;
  readonly keyFile: string;

  private constructor(network: SharedNetwork, domain: Domain, folder: string) {
    this.network = network;
    this.domain = domain;
    this.author = `me@${domain}`;
    this.folder = folder;
    this.keyFile = join(folder, "key");
  }

  /** A publisher with a fresh domain; without `records`, nothing is written into the zone. */
  static async create(network: SharedNetwork, options = { records: true }): Promise<Publisher> {
    const folder = await mkdtemp(join(network.dir, "publisher-"));
    const domain = parseDomain(`d${process.pid}-${++domains}.test`);
    const publisher = new Publisher(network, domain, folder);
    await makeKey(publisher.keyFile, domain);
    if (options.records) await publisher.addRecords();
    return publisher;
  }

  async addRecords(): Promise<void> {
    const { stdout } = await this.holdfast("domain", "records", this.domain, "--key", `${this.keyFile}.pub`);
    await appendFile(this.network.zoneFile, stdout);
  }

  holdfast(...args: string[]): Promise<CliResult> {
    return holdfast(this.network, args);
  }

  async writeFile(name: string, content: string | Uint8Array): Promise<string> {
    const file = join(this.folder, name);
    await writeFile(file, content);
    return file;
  }

  publish(file: string, name: string, ...options: string[]): Promise<CliResult> {
    return this.holdfast(
      ...[
        "publish",
        file,
        `${this.domain}/${name}`,
        "--key",
        this.keyFile,
        "--author",
        this.author,
        ...options,
      ],
    );
  }

  async signer(): Promise<StatementSigner> {
    const pair = parsePrivateKeyFile(await readFile(this.keyFile, "utf8"));
    if (pair === null) throw new Error("the test's key is not encrypted");
    return createStatementSigner(await importSigner(pair.seed));
  }

  objectUrl(name: string): string {
    return `${this.network.edgeUrl}/obj/${this.domain}/${name}`;
  }
}
