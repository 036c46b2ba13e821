// Requests that come through an edge or a relay, answered by the node's one router. Neither is trusted with more than a
// stranger at the listener: what may pass is judged here again.

import type { Logger } from "pino";
import { HoldfastError, isHoldfastError } from "../../lib/error.ts";
import { PROBLEM_TYPE, problemOf } from "../../lib/problem.ts";
import { type AcceptedRequest, type Answer, TunnelAcceptor } from "../../lib/tunnel/acceptor.ts";
import type { RequestHead } from "../../lib/tunnel/frames.ts";

/** The router sees a URL; nothing depends on its origin. */
const ORIGIN = "http://tunnel.invalid";
/** Response headers that an edge passes on. */
const RESPONSE_HEADERS = ["cache-control", "content-length", "content-type", "etag", "retry-after"];

export type AnswerRequest = (request: Request) => Promise<Response>;
/** What may pass, in its one spelling. Throws where it may not. */
export type MayPass = (
  method: string,
  pathname: string,
  search: string,
) => Pick<RequestHead, "method" | "path">;

export function createTunnel(
  send: (message: Uint8Array) => void,
  { answer: answerRequest, mayPass, log }: { answer: AnswerRequest; mayPass: MayPass; log: Logger },
): TunnelAcceptor {
  return new TunnelAcceptor({
    send,
    answer: (request) => answer(request, answerRequest, mayPass),
    onError: (error) => log.warn({ err: error }, "an answer through a tunnel failed"),
  });
}

async function answer(
  accepted: AcceptedRequest,
  answerRequest: AnswerRequest,
  mayPass: MayPass,
): Promise<Answer> {
  const response = await passOrRefuse(accepted, answerRequest, mayPass);
  const headers = RESPONSE_HEADERS.flatMap((name) => {
    const value = response.headers.get(name);
    return value === null ? [] : [[name, value] as [string, string]];
  });
  return { status: response.status, headers, body: response.body };
}

async function passOrRefuse(
  accepted: AcceptedRequest,
  answerRequest: AnswerRequest,
  mayPass: MayPass,
): Promise<Response> {
  try {
    return await answerRequest(requestOf(accepted, mayPass));
  } catch (error) {
    if (!isHoldfastError(error)) throw error;
    const problem = problemOf(error);
    return Response.json(problem, { status: problem.status, headers: { "Content-Type": PROBLEM_TYPE } });
  }
}

/** Throws what mayPass throws. */
function requestOf({ method, path, headers, body, signal }: AcceptedRequest, mayPass: MayPass): Request {
  const url = parseTarget(path);
  const passage = mayPass(method, url.pathname, url.search);
  // Streamed while the answer is made, as fetch calls it.
  const streamed = body === null ? {} : { body, duplex: "half" as const };
  return new Request(`${ORIGIN}${passage.path}`, { method: passage.method, headers, signal, ...streamed });
}

function parseTarget(path: string): URL {
  const url = URL.parse(path, ORIGIN);
  if (url === null || url.origin !== ORIGIN) throw new HoldfastError("not-found", "no such path");
  return url;
}
