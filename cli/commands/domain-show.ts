// holdfast domain show: who may sign for a domain, as this machine sees it in DNS.

import { Command } from "commander";
import { type DomainKeys, keyRecordName } from "../../lib/domain-keys.ts";
import type { Domain } from "../../lib/names.ts";
import { formatTable } from "../format.ts";
import { domainArgument } from "../options.ts";
import { printData, printJson, warn } from "../output.ts";
import { type CommonOptions, domainKeysOf, loadSettings } from "../settings.ts";

export function domainShowCommand(): Command {
  return new Command("show")
    .summary("who may sign for a domain")
    .description("Ask DNS (over HTTPS, HOLDFAST_DOH) for the keys and the policy of DOMAIN.")
    .argument("<DOMAIN>", "such as example.org", domainArgument)
    .option("--json", "print JSON")
    .addHelpText("after", EXAMPLES)
    .action((domain: Domain, options: CommonOptions) => run(domain, options));
}

const EXAMPLES = `
Examples:
  holdfast domain show example.org
  holdfast domain show example.org --json | jq -r '.keys[].fingerprint'
`;

async function run(domain: Domain, options: CommonOptions): Promise<void> {
  const keys = await domainKeysOf(await loadSettings(options)).resolve(domain, { fresh: true });
  for (const problem of keys.problems) warn(problem);
  if (options.json === true) return printJson(jsonOf(keys));
  await printData(formatKeys(keys));
}

function formatKeys({ domain, policy, keys, evidence }: DomainKeys): string {
  const { resolvers, resolvedAt, ttlSeconds, ad } = evidence;
  return formatTable([
    ["domain", domain],
    ["policy", policy],
    ...keys.map(({ fingerprint, emails }) => ["key", `${fingerprint} ${emails.join(", ")}`.trimEnd()]),
    ["records", `${keyRecordName(domain)}, kept for ${ttlSeconds} s`],
    ["resolvers", `${resolvers.join(", ")} at ${resolvedAt}`],
    ["DNSSEC", ad ? "validated by the resolver" : "not validated"],
  ]);
}

function jsonOf({ domain, policy, keys, problems, evidence }: DomainKeys): object {
  return {
    domain,
    policy,
    keys: keys.map(({ text, fingerprint, emails }) => ({ key: text, fingerprint, emails })),
    problems,
    evidence,
  };
}
