// Is a home node really where it says it is? Whoever reads from it will be sent there, so its URL must be one that may
// be followed, and must answer with the node's id. What was found is told to the node, with a code.

import { parseJson } from "../lib/canonical-json.ts";
import { isHoldfastError } from "../lib/error.ts";
import { readBody } from "../lib/fetch.ts";
import type { NodeId } from "../lib/hash.ts";
import { judgeNodeUrl } from "../lib/node-url.ts";
import type { ReachCode } from "../lib/reach.ts";
import { REASON_MAX } from "../lib/registration.ts";
import { type NodeStatus, parseNodeStatus } from "../lib/wire/nodes.ts";
import { SMALL_ANSWER_MAX } from "../lib/wire/problem.ts";

export const REACH_TIMEOUT_MS = 5000;

/** `url` is set where the node was reached, and only there. */
export interface Reach {
  url: string | null;
  code: ReachCode;
  /** For people; at most REASON_MAX characters. */
  reason: string;
}

/** What the platform answers with in place of a server that it could not ask. */
const PLATFORM_STATUS = new Map<number, [ReachCode, string]>([
  [521, ["connection-refused", "the connection was refused"]],
  [522, ["timed-out", "the connection was not answered in time"]],
  [523, ["connection-failed", "there is no route to it"]],
  [524, ["timed-out", "the request was not answered in time"]],
  [525, ["certificate-invalid", "the TLS handshake failed"]],
  [526, ["certificate-invalid", "the certificate is not valid"]],
  [530, ["name-not-found", "the name does not resolve"]],
]);

/** Asks `url` for the id of `node`. */
export async function reachNode(
  { url, node }: { url: string | null; node: NodeId },
  allowLocal: boolean,
): Promise<Reach> {
  if (url === null) return relayed("no-url", "the node announced no URL");
  const judged = judgeNodeUrl(url, allowLocal);
  if (!judged.ok) return relayed(judged.code, judged.detail);
  const { origin } = judged;
  const signal = AbortSignal.timeout(REACH_TIMEOUT_MS);
  try {
    return await judgeAnswer(await fetch(`${origin}/status`, { redirect: "manual", signal }), origin, node);
  } catch (error) {
    return failed(error, origin, signal);
  }
}

async function judgeAnswer(response: Response, origin: string, node: NodeId): Promise<Reach> {
  const { status } = response;
  const fault = faultOf(status);
  if (fault !== null) {
    await response.body?.cancel();
    return relayed(fault[0], `not reached at ${origin}: ${fault[1]}`);
  }
  const answer = await parseAnswer(response);
  if (answer === null) {
    return relayed("not-a-node", `what answers at ${origin} is no home node (HTTP status ${status})`);
  }
  if (answer.id !== node) return relayed("other-node", `another node answers at ${origin}: ${answer.id}`);
  return { url: origin, code: "reached", reason: `reached at ${origin}` };
}

function faultOf(status: number): [ReachCode, string] | null {
  if (status >= 300 && status < 400) return ["redirected", "the answer is a redirect"];
  return PLATFORM_STATUS.get(status) ?? null;
}

async function parseAnswer(response: Response): Promise<NodeStatus | null> {
  try {
    return parseNodeStatus(parseJson(await readBody(response, SMALL_ANSWER_MAX), SMALL_ANSWER_MAX));
  } catch (error) {
    if (isHoldfastError(error)) return null;
    throw error;
  }
}

/** The runtime tells a connection that was refused or broke off from the rest, and no more than that. */
function failed(error: unknown, origin: string, signal: AbortSignal): Reach {
  if (signal.aborted) {
    return relayed("timed-out", `not reached at ${origin}: no answer within ${REACH_TIMEOUT_MS / 1000} s`);
  }
  const words = error instanceof Error ? error.message : String(error);
  if (words === "Network connection lost.") {
    return relayed("connection-refused", `not reached at ${origin}: the connection was refused or broke off`);
  }
  return relayed("connection-failed", `not reached at ${origin}: ${words}`);
}

function relayed(code: ReachCode, reason: string): Reach {
  return { url: null, code, reason: reason.slice(0, REASON_MAX) };
}
