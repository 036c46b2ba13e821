// holdfast edge deny, allow, denied: what an operator blocks on an edge, by statements signed with the operator's key.

import { Command, InvalidArgumentError, Option } from "commander";
import {
  DENIAL_REASON_MAX,
  DENIAL_STATUSES,
  DENIALS_ANSWER_MAX,
  type DenialChange,
  type DenialStatus,
  type DenialsAnswer,
  parseDenialsAnswer,
  subjectHash,
} from "../../lib/denial.ts";
import { formatTable } from "../format.ts";
import { sendAsOperator, withOperator } from "../operator-statement.ts";
import { printData, printJson, say } from "../output.ts";
import type { CommonOptions } from "../settings.ts";

const SUBJECT = "<SUBJECT>";
const SUBJECT_WORDS = "a hash, DOMAIN/NAME, or DOMAIN";

interface DenyOptions extends CommonOptions {
  status: DenialStatus;
  reason: string;
}

export function edgeDenyCommand(): Command {
  return withOperator(new Command("deny"))
    .summary("block a hash, a name or a domain")
    .description("Let the edge give out neither the bytes of SUBJECT nor who holds them.")
    .argument(SUBJECT, SUBJECT_WORDS, subjectArgument)
    .addOption(
      new Option("--status <STATUS>", "410: gone; 451: unavailable for legal reasons")
        .argParser(statusArgument)
        .default(410),
    )
    .addOption(
      new Option("--reason <TEXT>", "told to whoever asks for it").argParser(reasonArgument).default(""),
    )
    .addHelpText("after", EXAMPLES)
    .action((subject: string, { status, reason, ...options }: DenyOptions) =>
      change({ action: "deny", subject, status, reason }, options),
    );
}

export function edgeAllowCommand(): Command {
  return withOperator(new Command("allow"))
    .summary("end a block")
    .description("Let the edge give out SUBJECT again.")
    .argument(SUBJECT, SUBJECT_WORDS, subjectArgument)
    .action((subject: string, options: CommonOptions) => change({ action: "allow", subject }, options));
}

export function edgeDeniedCommand(): Command {
  return withOperator(new Command("denied"))
    .summary("what is blocked")
    .description("List what the edge does not give out.")
    .action((options: CommonOptions) => list(options));
}

const EXAMPLES = `
Examples:
  holdfast edge deny example.org/leaked.zip --status 451 --reason "court order 12/2027"
  holdfast edge deny 4da59953dc68556a02b823305326abe1e2e3069aa7cfc502437aa7185f4460a3
  holdfast edge deny example.org
`;

async function change(wanted: DenialChange & { subject: string }, options: CommonOptions): Promise<void> {
  const { changed } = await send(wanted, options);
  const hash = subjectHash(wanted.subject);
  if (options.json === true) return printJson({ subject: wanted.subject, hash, changed });
  say(
    changed
      ? `${wanted.subject} is ${wanted.action === "deny" ? "blocked" : "allowed"}`
      : "it was so already",
  );
}

async function list(options: CommonOptions): Promise<void> {
  const { denials } = await send({ action: "list" }, options);
  if (options.json === true) return printJson(denials);
  if (denials.length === 0) return say("nothing is blocked");
  const rows = denials.map(({ subject, status, time, reason }) => [subject, String(status), time, reason]);
  await printData(formatTable([["SUBJECT", "STATUS", "SINCE", "REASON"], ...rows]));
}

function send(change: DenialChange, options: CommonOptions): Promise<DenialsAnswer> {
  const request = { path: "/operator/denials", maxBytes: DENIALS_ANSWER_MAX, parse: parseDenialsAnswer };
  return sendAsOperator({ ...request, change }, options);
}

/** As it is written: what it stands for is looked at, and refused with its parser's own code. */
function subjectArgument(text: string): string {
  subjectHash(text);
  return text;
}

function statusArgument(text: string): DenialStatus {
  const status = DENIAL_STATUSES.find((known) => String(known) === text);
  if (status === undefined) throw new InvalidArgumentError(`expected ${DENIAL_STATUSES.join(" or ")}.`);
  return status;
}

function reasonArgument(text: string): string {
  if (text.length > DENIAL_REASON_MAX || /\p{Cc}/u.test(text))
    throw new InvalidArgumentError(`expected a line of at most ${DENIAL_REASON_MAX} characters.`);
  return text;
}
