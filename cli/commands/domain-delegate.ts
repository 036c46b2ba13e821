// holdfast domain delegate: lets somebody else's key write some names of a domain for a while.

import { Command } from "commander";
import { verifyDelegation } from "../../lib/authority.ts";
import { type Delegation, delegationKind, parseNamePattern } from "../../lib/delegation.ts";
import { formatRevocationRecord } from "../../lib/domain-records.ts";
import type { Domain } from "../../lib/names.ts";
import { formatPublicKeyText } from "../../lib/openssh-key.ts";
import { emailSchema, parseWith } from "../../lib/schema.ts";
import { signStatement } from "../../lib/statement.ts";
import { formatSigned } from "../../lib/wire/signed.ts";
import { domainArgument, repeated, timeArgument } from "../options.ts";
import { printData, say, warn } from "../output.ts";
import { domainKeysOf, loadSettings } from "../settings.ts";
import { loadSigner, readPublicKey } from "../signing-key.ts";

const DAY_MS = 24 * 60 * 60 * 1000;
const DEFAULT_DAYS = 365;

interface DelegateOptions {
  key?: string;
  to: string;
  email: string;
  names: string[];
  by?: string;
  begin?: string;
  until?: string;
}

export function domainDelegateCommand(): Command {
  return new Command("delegate")
    .summary("let another key write some names for a while")
    .description(
      "Sign a delegation, and print it: the file that its owner names with --delegation. The domain's policy must be moderated.",
    )
    .argument("<DOMAIN>", "such as example.org", domainArgument)
    .requiredOption("--to <FILE.pub>", "the OpenSSH public key that may write")
    .requiredOption("--email <EMAIL>", "whose key it is: the author of what it publishes", parseEmail)
    .requiredOption(
      "--names <PATTERN>",
      "a name, or the beginning of names and a *; repeatable",
      repeated(parseNamePattern),
    )
    .option("--begin <DATE>", "from when on (default: now)", timeArgument)
    .option("--until <DATE>", `until when (default: ${DEFAULT_DAYS} days from then)`, timeArgument)
    .option("--by <EMAIL>", "you are an author, and delegate names of your own", parseEmail)
    .option("--key <FILE>", "your OpenSSH key, or .pub of a key in the agent (default: HOLDFAST_KEY)")
    .addHelpText("after", EXAMPLES)
    .action((domain: Domain, options: DelegateOptions) => run(domain, options));
}

const EXAMPLES = `
Examples:
  holdfast domain delegate example.org --to ci.pub --email ci@example.org --names 'nightly/*' > ci.delegation
  holdfast publish build.tar example.org/nightly/build.tar --key ci --author ci@example.org --delegation ci.delegation
`;

async function run(domain: Domain, options: DelegateOptions): Promise<void> {
  const settings = await loadSettings(options.key === undefined ? {} : { key: options.key });
  const signer = await loadSigner(settings);
  const key = await readPublicKey(options.to);
  const signed = await signStatement(
    delegationKind,
    bodyOf(domain, formatPublicKeyText(key), options),
    signer,
  );
  const { id, body } = await verifyDelegation(signed);
  const { policy, keys } = await domainKeysOf(settings).resolve(domain);
  if (policy !== "moderated")
    warn(
      `the policy of ${domain} is ${policy}: a delegation is of use where it is moderated (v=hf1; policy=moderated)`,
    );
  const text = formatPublicKeyText(signer.key);
  if (options.by === undefined && !keys.some((known) => known.text === text))
    warn(
      `the key that signs is not one of ${domain}'s: as an author who delegates their own names, give --by EMAIL`,
    );
  await printData(`${JSON.stringify(formatSigned(signed))}\n`);
  say(`${body.email} may write ${body.names.join(", ")} of ${domain} until ${body.until}.`);
  say(`To end it before, add this TXT record at _holdfast.${domain}: ${formatRevocationRecord(id)}`);
}

function bodyOf(domain: Domain, key: string, options: DelegateOptions): Delegation {
  const { email, names, by, begin: from = new Date().toISOString() } = options;
  const until = options.until ?? new Date(Date.parse(from) + DEFAULT_DAYS * DAY_MS).toISOString();
  return {
    type: "holdfast-delegation-1",
    ...{ domain, email, key, names, from, until },
    ...(by === undefined ? {} : { by }),
  };
}

function parseEmail(text: string): string {
  return parseWith(emailSchema, text, "invalid-request");
}
