// holdfast domain trust: takes the keys that DNS shows now, whatever was known of the domain before.

import { Command } from "commander";
import { type KnownDomain, knownOf } from "../../lib/client/known-domains.ts";
import type { DomainKeys } from "../../lib/domain-keys.ts";
import type { Domain } from "../../lib/names.ts";
import { formatTable } from "../format.ts";
import { nodeHost } from "../node-host.ts";
import { domainArgument } from "../options.ts";
import { printData, printJson, say } from "../output.ts";
import { type CommonOptions, dnsOf, knownDomainsOf, loadSettings } from "../settings.ts";

export function domainTrustCommand(): Command {
  return new Command("trust")
    .summary("accept a domain's keys after they changed")
    .description(
      "Accept the keys that DNS shows for DOMAIN now, and that it is without DNSSEC where it is, in place of what is " +
        "known of it. Ask its owner for the fingerprint first, by another way.",
    )
    .argument("<DOMAIN>", "such as example.org", domainArgument)
    .option("--json", "print JSON")
    .addHelpText("after", EXAMPLES)
    .action((domain: Domain, options: CommonOptions) => run(domain, options));
}

const EXAMPLES = `
Examples:
  holdfast domain show example.org
  holdfast domain trust example.org
`;

async function run(domain: Domain, options: CommonOptions): Promise<void> {
  const settings = await loadSettings(options);
  const known = knownDomainsOf(settings);
  const keys = await dnsOf(settings, "write").resolve(domain, { fresh: true });
  const before = await known.find(domain);
  const now = knownOf(keys, nodeHost.now());
  await known.remember(domain, now);
  if (options.json === true) return printJson({ domain, before, now });
  await printData(formatTrust(keys, before, now));
  say(`From now on these are the keys of ${domain} here.`);
}

function formatTrust({ domain }: DomainKeys, before: KnownDomain | null, now: KnownDomain): string {
  const isKept = (fingerprint: string) => before?.fingerprints.includes(fingerprint) === true;
  const gone = before?.fingerprints.filter((fingerprint) => !now.fingerprints.includes(fingerprint)) ?? [];
  return formatTable([
    ["domain", domain],
    ...now.fingerprints.map((fingerprint) => [isKept(fingerprint) ? "known" : "new", fingerprint]),
    ...gone.map((fingerprint) => ["gone", fingerprint]),
    ["DNSSEC", now.dnssec ? "validated" : before?.dnssec === true ? "no longer" : "not validated"],
  ]);
}
