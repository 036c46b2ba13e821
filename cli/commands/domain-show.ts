// holdfast domain show: who may sign for a domain, as this machine sees it in DNS, and what is known of it here.

import { Command } from "commander";
import { judgeDomain, type KnownDomain } from "../../lib/client/known-domains.ts";
import { parseServerUrl, Server } from "../../lib/client/server.ts";
import { type DomainKeys, keyRecordName } from "../../lib/domain-keys.ts";
import { type HoldfastError, isHoldfastError } from "../../lib/error.ts";
import type { Domain } from "../../lib/names.ts";
import { type RotationStep, stepOf, verifyRotations } from "../../lib/rotation.ts";
import { formatSupport, type SupportOn } from "../domain-support.ts";
import { formatTable } from "../format.ts";
import { nodeHost } from "../node-host.ts";
import { domainArgument } from "../options.ts";
import { printData, printJson, warn } from "../output.ts";
import { type CommonOptions, dnsOf, knownDomainsOf, loadSettings } from "../settings.ts";

interface Shown extends DomainKeys {
  steps: (RotationStep & { time: string })[];
  known: KnownDomain | null;
  /** Why other commands stop at this domain; null where they do not. */
  stop: HoldfastError | null;
}

export function domainShowCommand(): Command {
  return new Command("show")
    .summary("who may sign for a domain")
    .description(
      "Ask DNS (over HTTPS, HOLDFAST_DOH) for the keys and the policy of DOMAIN, say what is known of it here, and, where an edge is set, what that edge says of it.",
    )
    .argument("<DOMAIN>", "such as example.org", domainArgument)
    .option(
      "--edge <URL>",
      "the edge to ask (default: HOLDFAST_EDGE, then the configuration)",
      parseServerUrl,
    )
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
  const settings = await loadSettings(options);
  const keys = await dnsOf(settings, "read").resolve(domain, { fresh: true });
  const { rotations, problems } = await verifyRotations(domain, keys.rotations);
  const steps = rotations.map((rotation) => ({ ...stepOf(rotation), time: rotation.body.time }));
  const known = await knownDomainsOf(settings).find(domain);
  const stop = await stopOf(known, keys);
  const shown = { ...keys, problems: [...keys.problems, ...problems], steps, known, stop };
  for (const problem of shown.problems) warn(problem);
  if (stop !== null) warn(stop.message);
  const onEdge = await supportOn(settings.edgeUrls[0], domain);
  if (options.json === true) return printJson({ ...jsonOf(shown), onEdge });
  const support = onEdge === null ? "" : `\n${formatSupport(onEdge, Date.now())}`;
  await printData(`${formatShown(shown)}${support}`);
}

/** What the edge says beside the keys, which are DNS's to say. Null where none is set or it does not answer. */
async function supportOn(url: string | undefined, domain: Domain): Promise<SupportOn | null> {
  if (url === undefined) return null;
  try {
    return { url, ...(await new Server(url, nodeHost.fetch).domainSupport(domain)) };
  } catch (error) {
    if (!isHoldfastError(error)) throw error;
    warn(`${url} does not say what it keeps of ${domain}: ${error.message}`);
    return null;
  }
}

async function stopOf(known: KnownDomain | null, keys: DomainKeys): Promise<HoldfastError | null> {
  try {
    await judgeDomain(known, keys);
    return null;
  } catch (error) {
    if (!isHoldfastError(error)) throw error;
    return error;
  }
}

function formatShown(shown: Shown): string {
  const { domain, keys, revoked, steps, known, evidence } = shown;
  return formatTable([
    ["domain", domain],
    ["policy", policyOf(shown)],
    ...keys.map(({ fingerprint, emails }) => ["key", `${fingerprint} ${emails.join(", ")}`.trimEnd()]),
    ...(shown.hasWithdrawnKey ? [["withdrawn", "a key stood here, and was withdrawn"]] : []),
    ...steps.map(({ from, to, time }) => ["rotation", `${from} to ${to}, ${time}`]),
    ...revoked.map((id) => ["revoked", `delegation ${id}`]),
    ["records", `${keyRecordName(domain)}, kept for ${evidence.ttlSeconds} s`],
    ...evidence.resolvers.map((resolver) => ["resolver", `${resolver} at ${evidence.resolvedAt}`]),
    ["DNSSEC", dnssecOf(shown)],
    ["known here", known === null ? "no" : knownText(shown, known)],
  ]);
}

function policyOf({ policy, authors }: DomainKeys): string {
  if (policy === "exclusive") return policy;
  if (authors === null) return `${policy}, open to every author`;
  return `${policy}, open to ${authors.length === 0 ? "delegated authors only" : authors.join(", ")}`;
}

function dnssecOf({ known, evidence }: Shown): string {
  if (evidence.ad) return "validated by each resolver";
  return known?.dnssec === true ? "LOST: it was validated before" : "not validated";
}

function knownText({ keys, stop }: Shown, { fingerprints, seenAt }: KnownDomain): string {
  const same =
    keys.length === fingerprints.length && keys.every((key) => fingerprints.includes(key.fingerprint));
  const state = same
    ? "these keys"
    : stop === null
      ? "with other keys, which these follow"
      : "with other keys";
  return `${state}, seen ${seenAt}`;
}

function jsonOf(shown: Shown): object {
  const { domain, policy, authors, keys, hasWithdrawnKey, revoked, steps, problems, evidence, known, stop } =
    shown;
  return {
    ...{ domain, policy, authors },
    keys: keys.map(({ text, fingerprint, emails }) => ({ key: text, fingerprint, emails })),
    ...{ hasWithdrawnKey, revoked, rotations: steps, problems, evidence, known },
    stop: stop === null ? null : stop.code,
  };
}
