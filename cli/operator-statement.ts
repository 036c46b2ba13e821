// What an operator says to an edge: a statement signed with one of its OPERATOR_KEYS, good for that edge, once, now.

import { randomBytes } from "node:crypto";
import type { Command } from "commander";
import { requestJson } from "../lib/client/request.ts";
import { type OperatorChange, operatorKind } from "../lib/denial.ts";
import { encodeHash } from "../lib/hash.ts";
import { signStatement } from "../lib/statement.ts";
import { formatSigned } from "../lib/wire/signed.ts";
import { nodeHost } from "./node-host.ts";
import { withEdge } from "./options.ts";
import { type CommonOptions, edgeOf, loadSettings } from "./settings.ts";
import { loadSigner } from "./signing-key.ts";

const LIMITS = { idleMs: 15_000, totalMs: 60_000 };

/** --edge, --json and --key. */
export function withOperator(command: Command): Command {
  return withEdge(command).option(
    "--key <FILE>",
    "the operator's OpenSSH key, or .pub of a key in the agent",
  );
}

export interface OperatorRequest<T> {
  path: string;
  change: OperatorChange;
  maxBytes: number;
  parse: (value: unknown) => T;
}

export async function sendAsOperator<T>(request: OperatorRequest<T>, options: CommonOptions): Promise<T> {
  const settings = await loadSettings(options);
  const edge = edgeOf(settings);
  const signer = await loadSigner(settings);
  const { id } = await edge.status();
  const time = new Date(nodeHost.now()).toISOString();
  const nonce = encodeHash(randomBytes(32));
  const body = { type: operatorKind.type, edge: id, time, nonce, change: request.change };
  return requestJson(nodeHost.fetch, `${edge.url}${request.path}`, {
    method: "POST",
    headers: { accept: "application/json", "content-type": "application/json" },
    body: JSON.stringify(formatSigned(await signStatement(operatorKind, body, signer))),
    limits: LIMITS,
    maxBytes: request.maxBytes,
    parse: request.parse,
  });
}
