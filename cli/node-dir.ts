// A home node's folder as the commands about a node of one's own find it, and the node that runs in it.

import { homedir } from "node:os";
import { join } from "node:path";
import { findSocket } from "../home-node/server/socket-path.ts";
import { runningHolder } from "../home-node/store/directory-lock.ts";
import { isFileError } from "../home-node/store/durable-file.ts";
import { HoldfastError, isHoldfastError } from "../lib/error.ts";
import type { Fetch } from "../lib/fetch.ts";
import { createSocketFetch } from "./http-fetch.ts";

export const DEFAULT_NODE_DIR = join(homedir(), ".local", "share", "holdfast");
/** The socket has no host; a URL must. */
export const SOCKET_ORIGIN = "http://localhost";

/** Runs `ask` with a fetch that reaches the node in `dir`. Throws `unreachable` with what to do where none answers. */
export async function withNodeIn<T>(dir: string, ask: (fetch: Fetch) => Promise<T>): Promise<T> {
  try {
    return await ask(createSocketFetch(await findSocket(dir)));
  } catch (error) {
    if (!isHoldfastError(error, "unreachable")) throw error;
    const why = isFileError(error.cause, "EACCES", "EPERM") ? notYours(dir) : await whyNobodyAnswers(dir);
    throw new HoldfastError("unreachable", why, { cause: error });
  }
}

function notYours(dir: string): string {
  return `the node in ${dir} answers its owner only: ask as the user who runs it`;
}

async function whyNobodyAnswers(dir: string): Promise<string> {
  const pid = await runningHolder(dir);
  if (pid !== null) {
    return `process ${pid} has ${dir} but does not answer: it is starting or stopping; try again shortly`;
  }
  return `no home node runs in ${dir}: start one with holdfast node run, or name another folder with --dir, or a node with --url`;
}
