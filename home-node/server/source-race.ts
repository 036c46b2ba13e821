// One source after the other, until one of them gives what is wanted. One that takes long is not given up: the next is asked
// beside it, and who gives it first wins. Of several holders the first in the list may be the one with the slowest line.

import { handled } from "../../lib/promise.ts";
import type { Clock } from "../clock.ts";

/** A source has this long before the next is asked as well. */
export const NEXT_SOURCE_MS = 5_000;
/** Sources that are read at once: each read is a chunk in memory. */
export const SOURCES_AT_ONCE_MAX = 3;

/** What a source gives, or null where it gives nothing. Once `signal` is aborted nobody waits for it. */
export type AskSource<S, T> = (source: S, signal: AbortSignal) => Promise<T | null>;

/** What the first source gave; null where none did within `timeoutMs`. Throws what `ask` throws. */
export async function firstToGive<S, T>(
  sources: readonly S[],
  ask: AskSource<S, T>,
  { clock, timeoutMs }: { clock: Clock; timeoutMs: number },
): Promise<T | null> {
  const over = new AbortController();
  const untilMs = clock.now() + timeoutMs;
  const waiting = [...sources];
  const asked = new Set<Promise<T | null>>();
  try {
    while (clock.now() < untilMs) {
      const [next] = asked.size < SOURCES_AT_ONCE_MAX ? waiting.splice(0, 1) : [];
      if (next !== undefined) {
        const read = handled(ask(next, over.signal));
        asked.add(read);
        handled(read.finally(() => asked.delete(read)));
      }
      if (asked.size === 0) return null;
      const given = await orPause([...asked], Math.min(NEXT_SOURCE_MS, untilMs - clock.now()), clock);
      if (given !== null) return given;
    }
    return null;
  } finally {
    over.abort();
  }
}

/** What the first of `reads` to end gives; null also where none has ended after `ms`. */
async function orPause<T>(reads: Promise<T | null>[], ms: number, clock: Clock): Promise<T | null> {
  const ended = new AbortController();
  try {
    return await Promise.race([...reads, clock.sleep(ms, ended.signal).then(() => null)]);
  } finally {
    ended.abort();
  }
}
