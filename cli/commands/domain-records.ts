// holdfast domain records: the DNS records that let a key sign for a domain, as zone-file lines and nothing else.

import { Command } from "commander";
import { authorRecordName, keyRecordName } from "../../lib/domain-keys.ts";
import { formatKeyRecords } from "../../lib/domain-records.ts";
import type { Domain } from "../../lib/names.ts";
import { emailSchema, parseWith } from "../../lib/schema.ts";
import { usageError } from "../failure.ts";
import { formatZoneRecord } from "../local/zone-file.ts";
import { domainArgument, integerArgument, repeated } from "../options.ts";
import { printData, say } from "../output.ts";
import { readPublicKey } from "../signing-key.ts";

/** Long enough to be cached, short enough to withdraw a key within the hour. */
export const DEFAULT_TTL_SECONDS = 300;
const TTL_SECONDS_MAX = 86_400;

interface RecordsOptions {
  key: string;
  email?: string[];
  author?: string;
  ttl: number;
}

export function domainRecordsCommand(): Command {
  return new Command("records")
    .summary("the DNS records that publish a key")
    .description("Print the TXT records that let a key sign for DOMAIN: zone-file lines on standard output.")
    .argument("<DOMAIN>", "such as example.org", domainArgument)
    .requiredOption("--key <FILE.pub>", "the OpenSSH public key")
    .option("--email <EMAIL>", "whose key it is (repeatable); without it, anybody's", repeated(parseEmail))
    .option("--author <EMAIL>", "the author's own key instead, of an address at DOMAIN", parseEmail)
    .option("--ttl <SECONDS>", "how long DNS keeps the records", parseTtl, DEFAULT_TTL_SECONDS)
    .addHelpText("after", EXAMPLES)
    .action((domain: Domain, options: RecordsOptions) => run(domain, options));
}

const EXAMPLES = `
Examples:
  holdfast domain records example.org --key ~/.ssh/id_ed25519.pub
  holdfast domain records example.org --key alice.pub --email alice@example.org >> example.org.zone
  holdfast domain records example.net --key alice.pub --author alice@example.net
`;

async function run(domain: Domain, { key, email = [], author, ttl }: RecordsOptions): Promise<void> {
  const blob = await readPublicKey(key);
  const owner = ownerOf(domain, author, email);
  const records = formatKeyRecords({ blob, emails: email });
  await printData(records.map((record) => `${formatZoneRecord(owner, record, ttl)}\n`).join(""));
  say(
    author === undefined
      ? `Add ${records.length === 1 ? "this record" : "these records"} to the zone of ${domain}; holdfast domain show ${domain} then shows the key.`
      : `Add this record to the zone of ${domain}: ${author} may then write in moderated domains that admit them.`,
  );
}

function ownerOf(domain: Domain, author: string | undefined, emails: readonly string[]): string {
  if (author === undefined) return keyRecordName(domain);
  if (emails.length > 0) throw usageError("--author says already whose key it is: leave --email out");
  if (!author.endsWith(`@${domain}`)) throw usageError(`${author} is no address at ${domain}`);
  return authorRecordName(author);
}

function parseEmail(text: string): string {
  return parseWith(emailSchema, text, "invalid-request");
}

export function parseTtl(text: string): number {
  return integerArgument(text, 0, TTL_SECONDS_MAX);
}
