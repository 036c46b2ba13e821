// One domain whose zone is a file, an edge that has one Version of it, and the real command beside them. The zone file is
// read by a DNS-over-HTTPS responder for each question.

import { execFile } from "node:child_process";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { promisify } from "node:util";
import { afterEach, beforeEach } from "vitest";
import { createDohResponder, type DohResponder } from "../../cli/local/doh-responder.ts";
import { formatZoneRecord } from "../../cli/local/zone-file.ts";
import { keyRecordName } from "../../lib/domain-keys.ts";
import { formatKeyRecords } from "../../lib/domain-records.ts";
import { formatPrivateKeyFile, formatPublicKeyLine } from "../../lib/openssh-key.ts";
import type { StatementSigner } from "../../lib/sshsig.ts";
import { formatSigned } from "../../lib/wire/signed.ts";
import { holdfast, type Run } from "./cli-fixture.ts";
import {
  answerChunk,
  answerJson,
  answerProblem,
  closeAll,
  contactAt,
  DOMAIN,
  encodeBase64,
  makeObject,
  makeSigner,
  NAME_HASH,
  serve,
  serveLocate,
  signVersion,
  temporaryFolder,
} from "./client-fixture.ts";

export const TARGET = `${DOMAIN}/app.iso`;
export const OWNER = keyRecordName(DOMAIN);
export const object = makeObject(3, 2_000);
/** Two keys, which lie as a and b, and a.pub and b.pub, in the folder of each test. */
export const [a, b] = await Promise.all([makeSigner(1), makeSigner(2)]);
export const runProgram = promisify(execFile);

export function recordOf({ key }: StatementSigner): string {
  return formatKeyRecords({ blob: key, emails: [] })[0] ?? "";
}

/** Anew for each test: the domain has key a, which has signed the Version. */
export class TestDomain {
  cwd = "";
  zoneFile = "";
  dohUrls: string[] = [];
  responders: DohResponder[] = [];
  /** Whose Version the edge has. */
  author = a;
  edgeUrl = "";

  async start(): Promise<void> {
    this.cwd = await temporaryFolder();
    this.zoneFile = join(this.cwd, "zone");
    await this.writeZone([recordOf(a)]);
    this.responders = [];
    this.dohUrls = [await this.startDns(this.zoneFile)];
    this.author = a;
    this.edgeUrl = await this.#startEdge();
    await this.#writeKeyFile("a", 1, a);
    await this.#writeKeyFile("b", 2, b);
  }

  async stop(): Promise<void> {
    await Promise.all(this.responders.map((responder) => responder.stop()));
    await closeAll();
  }

  async writeZone(texts: string[], file = this.zoneFile): Promise<void> {
    await writeFile(file, texts.map((text) => `${formatZoneRecord(OWNER, text, 0)}\n`).join(""));
  }

  async startDns(file: string): Promise<string> {
    const responder = createDohResponder({ zoneFile: file });
    this.responders.push(responder);
    return (await responder.start()).url;
  }

  run(...args: string[]): Promise<Run> {
    const env = { HOLDFAST_EDGE: this.edgeUrl, HOLDFAST_DOH: this.dohUrls.join(",") };
    return holdfast(args, { cwd: this.cwd, env });
  }

  get(): Promise<Run> {
    return this.run("get", TARGET, "-o", "-");
  }

  async publish(): Promise<Run> {
    await writeFile(join(this.cwd, "f"), "f");
    return this.run("publish", "f", TARGET, "--key", "a", "--author", "a@example.test");
  }

  async #startEdge(): Promise<string> {
    const holder = await serve((request, response) => answerChunk(object.chunks, request, response));
    const { url } = await serveLocate([await contactAt(holder.url, 9)], async (request, response) => {
      if (!request.url?.startsWith(`/name/${NAME_HASH}`)) return answerProblem(response, "not-found", 404);
      const versions = [{ ...formatSigned(await signVersion(this.author, object)), witnesses: [] }];
      const manifest = encodeBase64(object.manifestBytes);
      answerJson(response, { domain: DOMAIN, nameHash: NAME_HASH, versions, manifest, next: null });
    });
    return url;
  }

  async #writeKeyFile(name: string, fill: number, { key }: StatementSigner): Promise<void> {
    const pair = { seed: new Uint8Array(32).fill(fill), blob: key };
    await writeFile(join(this.cwd, name), formatPrivateKeyFile(pair, name, 7), { mode: 0o600 });
    await writeFile(join(this.cwd, `${name}.pub`), `${formatPublicKeyLine(key, name)}\n`);
  }
}

/** Registers the start and the end of each test. */
export function useTestDomain(): TestDomain {
  const domain = new TestDomain();
  beforeEach(() => domain.start());
  afterEach(() => domain.stop());
  return domain;
}

/** The agent's socket appears a moment after its start. */
export async function addToAgent(key: string, socket: string): Promise<void> {
  for (let attempt = 0; ; attempt++) {
    try {
      await runProgram("ssh-add", [key], { env: { ...process.env, SSH_AUTH_SOCK: socket } });
      return;
    } catch (error) {
      if (attempt === 50) throw error;
      await sleep(100);
    }
  }
}
