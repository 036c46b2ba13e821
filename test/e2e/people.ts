// People with keys of their own who write in the domains of others: their records in the zone file, which only ever grows,
// since all tests share it. What is to go is commented out, in place.

import { appendFile, open, readFile } from "node:fs/promises";
import { join } from "node:path";
import { formatZoneRecord } from "../../cli/local/zone-file.ts";
import { importSigner } from "../../lib/ed25519.ts";
import { parsePrivateKeyFile } from "../../lib/openssh-key.ts";
import { createStatementSigner, type StatementSigner } from "../../lib/sshsig.ts";
import { type CliResult, holdfast, makeKey, type Publisher } from "./publisher.ts";

const COMMENT = ";";

/** Adds TXT texts at `_holdfast.<domain>`. */
export async function addRecords({ domain, network }: Publisher, ...texts: string[]): Promise<void> {
  const lines = texts.map((text) => `${formatZoneRecord(`_holdfast.${domain}`, text)}\n`);
  await appendFile(network.zoneFile, lines.join(""));
}

/** Takes the lines that hold `text` out of the zone. */
export async function dropRecords(zoneFile: string, text: string): Promise<void> {
  const zone = await readFile(zoneFile, "utf8");
  const file = await open(zoneFile, "r+");
  try {
    for (let at = 0, line = 0; line < zone.split("\n").length; line++) {
      const content = zone.split("\n")[line] ?? "";
      if (content.replaceAll('" "', "").includes(text)) await file.write(COMMENT, at);
      at += Buffer.byteLength(content) + 1;
    }
  } finally {
    await file.close();
  }
}

export class Person {
  readonly email: string;
  readonly keyFile: string;
  readonly #publisher: Publisher;

  private constructor(publisher: Publisher, email: string) {
    this.#publisher = publisher;
    this.email = email;
    this.keyFile = join(publisher.folder, `key of ${email}`);
  }

  /** Somebody with a key; with `inDns`, one that their mail domain publishes. */
  static async create(publisher: Publisher, email: string, { inDns }: { inDns: boolean }): Promise<Person> {
    const person = new Person(publisher, email);
    await makeKey(person.keyFile, email);
    if (inDns) {
      const { stdout, code, stderr } = await publisher.holdfast(
        ...["domain", "records", email.slice(email.indexOf("@") + 1), "--author", email],
        ...["--key", `${person.keyFile}.pub`],
      );
      if (code !== 0) throw new Error(stderr);
      await appendFile(publisher.network.zoneFile, stdout);
    }
    return person;
  }

  /** Publishes into the publisher's domain. */
  publish(file: string, name: string, ...options: string[]): Promise<CliResult> {
    return this.holdfast("publish", file, `${this.#publisher.domain}/${name}`, ...options);
  }

  /** With this person's key and address. */
  holdfast(command: string, ...args: string[]): Promise<CliResult> {
    const identity = ["--key", this.keyFile, "--author", this.email];
    return holdfast(this.#publisher.network, [command, ...args, ...identity]);
  }

  async signer(): Promise<StatementSigner> {
    const pair = parsePrivateKeyFile(await readFile(this.keyFile, "utf8"));
    if (pair === null) throw new Error("the test's key is not encrypted");
    return createStatementSigner(await importSigner(pair.seed));
  }
}
