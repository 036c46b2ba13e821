// Questions to the edge, and what to say about those that fail.

import { say } from "./elements.js";

/** What to do about a problem, by its code. */
const ADVICE = new Map([
  ["not-found", "Check the spelling and the case. It may also be private, or known to other edges only."],
  ["invalid-name", "Write <domain>/<name>, as in example.org/app.iso, or a folder as in example.org/path/."],
  ["dns-failed", "The edge could not ask DNS; try again in a minute."],
  ["rate-limited", "Wait a minute and try again."],
  ["unreachable", "Check your connection, or ask another edge or a home node: holdfast get --from URL."],
]);

/** A failure to show, with a code of the protocol. */
export class Problem extends Error {
  /** @param {string} code @param {string} detail */
  constructor(code, detail) {
    super(detail);
    this.code = code;
  }
}

/** Asks the edge for JSON. Throws a Problem. @param {string} path @param {RequestInit} [init] */
export async function ask(path, init) {
  const response = await fetch(path, init).catch(() => {
    throw new Problem("unreachable", "This edge does not answer.");
  });
  const body = await response.json().catch(() => null);
  if (response.ok && body !== null) return body;
  const unread = `The edge answered with status ${response.status} and no reason`;
  throw new Problem(`${body?.code}`, `${body?.detail || unread}`.replace(/\.?$/, "."));
}

/** @param {unknown} error */
export function explain(error) {
  const problem = error instanceof Problem ? error : new Problem("bad-answer", `${error}`);
  return `${problem.message} ${ADVICE.get(problem.code) ?? ""}`.trim();
}

/** Does `work`, and says at `place` what went wrong with it. @param {Element} place @param {AbortSignal} signal @param {() => Promise<void>} work */
export async function attempt(place, signal, work) {
  try {
    await work();
  } catch (error) {
    if (!signal.aborted) say(place, explain(error), true);
  }
}
