// holdfast domain rotate: takes a domain's owner from one key to the next, a step at each run. Where the change stands is
// read from DNS; nothing is kept here, and nothing is changed but by the owner.

import { setTimeout as sleep } from "node:timers/promises";
import { Command } from "commander";
import {
  planReplacement,
  planRotation,
  type RotationPlan,
  type RotationRequest,
} from "../../lib/client/domain-rotation.ts";
import { keyRecordName } from "../../lib/domain-keys.ts";
import { isHoldfastError } from "../../lib/error.ts";
import type { Domain } from "../../lib/names.ts";
import { fingerprintOf } from "../../lib/openssh-key.ts";
import { signRotation } from "../../lib/rotation.ts";
import { emailSchema, parseWith } from "../../lib/schema.ts";
import { usageError } from "../failure.ts";
import { formatZoneRecord } from "../local/zone-file.ts";
import { nodeHost } from "../node-host.ts";
import { domainArgument, repeated } from "../options.ts";
import { printData, printJson, say } from "../output.ts";
import { type CommonOptions, dnsOf, loadSettings, type Settings } from "../settings.ts";
import { loadSigner, readPublicKey } from "../signing-key.ts";
import { DEFAULT_TTL_SECONDS, parseTtl } from "./domain-records.ts";

const POLL_MS = 5_000;

interface RotateOptions extends CommonOptions {
  to: string;
  email?: string[];
  ttl: number;
  compromised?: boolean;
  wait?: boolean;
}

export function domainRotateCommand(): Command {
  return new Command("rotate")
    .summary("change a domain's key, step by step")
    .description(
      "Say how far the change from one key of DOMAIN to another has come, as DNS shows it, and what to do next. " +
        "Records to publish are zone-file lines on standard output. Run it again after each step.",
    )
    .argument("<DOMAIN>", "such as example.org", domainArgument)
    .option(
      "--key <OLD>",
      "the old key, or .pub of a key in the agent (default: HOLDFAST_KEY, then the configuration)",
    )
    .requiredOption("--to <NEW.pub>", "the new OpenSSH public key")
    .option(
      "--email <EMAIL>",
      "whose the new key is (repeatable; default: as the old one)",
      repeated(parseEmail),
    )
    .option("--ttl <SECONDS>", "how long DNS keeps the records", parseTtl, DEFAULT_TTL_SECONDS)
    .option("--compromised", "somebody else has the old key: it names no successor, and goes at once")
    .option("--wait", "ask DNS again until the records are there")
    .option("--json", "print JSON")
    .addHelpText("after", EXAMPLES)
    .action((domain: Domain, options: RotateOptions) => run(domain, options));
}

const EXAMPLES = `
Examples:
  holdfast domain rotate example.org --key old --to new.pub
  holdfast domain rotate example.org --key old.pub --to new.pub --compromised
`;

type Plan = (keys: RotationRequest["keys"]) => Promise<RotationPlan>;

async function run(domain: Domain, options: RotateOptions): Promise<void> {
  const settings = await loadSettings(options);
  const next = await readPublicKey(options.to);
  const { old, plan } = await planner(domain, next, settings, options);
  if (fingerprintOf(old) === fingerprintOf(next)) throw usageError("--key and --to are the same key");
  const dns = dnsOf(settings, "write");
  const ask = async () => plan(await dns.resolve(domain, { fresh: true }));
  const first = await ask();
  const isWaiting = options.wait === true && first.stage === "publish";
  if (isWaiting) await tell(domain, first, options);
  const found = isWaiting ? await untilPublished(ask) : first;
  if (options.json === true) {
    const [from, to] = [fingerprintOf(old), fingerprintOf(next)];
    return printJson({ domain, from, to, compromised: options.compromised === true, ...found });
  }
  await tell(domain, found, options);
}

/** While records spread, resolvers differ: that is what is waited out. */
async function untilPublished(ask: () => Promise<RotationPlan>): Promise<RotationPlan> {
  for (;;) {
    await sleep(POLL_MS);
    try {
      const found = await ask();
      if (found.stage !== "publish") return found;
    } catch (error) {
      if (!isHoldfastError(error, "dns-failed", "dns-disagreement")) throw error;
    }
  }
}

/** The old key signs once, however often DNS is asked, and only where a rotation is wanted. */
async function planner(
  domain: Domain,
  next: Uint8Array,
  settings: Settings,
  { email, compromised }: RotateOptions,
): Promise<{ old: Uint8Array; plan: Plan }> {
  const signer = await loadSigner(settings);
  const request = { old: signer.key, next, emails: email ?? null };
  const requestOf = (keys: RotationRequest["keys"]) => ({ ...request, keys, nowMs: nodeHost.now() });
  if (compromised === true) return { old: signer.key, plan: (keys) => planReplacement(requestOf(keys)) };
  let made: ReturnType<typeof signRotation> | null = null;
  const make = () => {
    made ??= signRotation({ domain, to: next, time: new Date(nodeHost.now()).toISOString() }, signer);
    return made;
  };
  return { old: signer.key, plan: (keys) => planRotation(requestOf(keys), make) };
}

async function tell(domain: Domain, plan: RotationPlan, options: RotateOptions): Promise<void> {
  const owner = keyRecordName(domain);
  for (const line of wordsOf(domain, plan, options)) say(line);
  if (options.json === true) return;
  await printData(plan.add.map((text) => `${formatZoneRecord(owner, text, options.ttl)}\n`).join(""));
}

function wordsOf(domain: Domain, plan: RotationPlan, { compromised = false }: RotateOptions): string[] {
  const records = `the zone of ${domain}`;
  const again = "Then run this again.";
  const gone = plan.remove.map((text) => `  ${keyRecordName(domain)} TXT "${text}"`);
  switch (plan.stage) {
    case "publish":
      return compromised
        ? [`Step 1 of 2: in ${records}, add what follows and remove at once:`, ...gone, again, ...COMPROMISED]
        : [
            `Step 1 of 3: add what follows to ${records}, and leave the old key's record where it is. ${again}`,
            "A rotation record lets those who know only the old key follow to the new one.",
          ];
    case "remove":
      return [
        `Step 2 of 2: the new key is in DNS. Remove from ${records}, now:`,
        ...gone,
        again,
        ...COMPROMISED,
      ];
    case "overlap":
      return [
        "Step 2 of 3: both keys and the rotation are in DNS. Publish with the new key from now on.",
        `Not before ${plan.removeAfter}, when no cache keeps an older answer, remove:`,
        ...gone,
        `Step 3 of 3: run this again. The rotation record stays: it is how others follow, however late they come.`,
      ];
    case "done":
      return compromised
        ? ["Done: the old key stands nowhere in DNS.", ...COMPROMISED]
        : [
            "Done: the new key alone is in DNS. The rotation record stays: those who know only the old key follow it.",
          ];
  }
}

const COMPROMISED = [
  "What the old key has signed stands where an edge has witnessed it while the key was good; nothing new of it is taken.",
  "Who has known the old key alone is stopped, and told of the change: publish the new key's fingerprint where your",
  "readers find it by another way, so that they can accept it with: holdfast domain trust",
];

function parseEmail(text: string): string {
  return parseWith(emailSchema, text, "invalid-request");
}
