// What a shard says that was split, to whoever asks it for what its children serve now. It crosses from one Durable Object to
// another in place of any answer; inside either it is thrown, because any method may come to it.

import type { ShardPrefix } from "../lib/overlay/shards.ts";

const MESSAGE = /^moved: shard "([01]*)" is split/;

export interface MovedAnswer {
  moved: ShardPrefix;
}

export class MovedError extends Error {
  constructor(prefix: ShardPrefix) {
    super(movedMessage(prefix));
  }
}

export function movedMessage(prefix: ShardPrefix): string {
  return `moved: shard "${prefix}" is split`;
}

/** The shard that an error says is split, thrown here or by a trigger of split-log.ts; null for any other error. */
export function movedShard(error: unknown): ShardPrefix | null {
  return error instanceof Error ? (MESSAGE.exec(error.message)?.[1] ?? null) : null;
}

/** True where an answer is none. */
export function isMoved(answer: unknown): answer is MovedAnswer {
  return typeof answer === "object" && answer !== null && "moved" in answer;
}
