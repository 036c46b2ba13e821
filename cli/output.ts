// stdout carries data, stderr words. A reader who closes stdout early (head, less) ends the program quietly.

import type { Writable } from "node:stream";

/** Installs the quiet end; call once. */
export function endQuietlyOnClosedOutput(): void {
  process.stdout.on("error", (error: NodeJS.ErrnoException) => {
    if (error.code === "EPIPE") process.exit(0);
    throw error;
  });
}

export function printData(text: string): Promise<void> {
  return writeTo(process.stdout, text);
}

export function printJson(value: unknown): Promise<void> {
  return printData(`${JSON.stringify(value, null, 2)}\n`);
}

export function say(text: string): void {
  process.stderr.write(`${text}\n`);
}

const CLEAR_LINE = "\r\u001b[K";
const SAVE_CURSOR = "\u001b7";

/**
 * A line in the place of a progress bar on a terminal. The bar goes on below it: where its line began it has saved, to end it
 * there when it stops, so that is saved anew.
 */
export function sayAboveBar(text: string): void {
  process.stderr.write(`${CLEAR_LINE}${text}\n${SAVE_CURSOR}`);
}

export function warn(text: string): void {
  say(`holdfast: warning: ${text}`);
}

/** Resolves when the bytes were handed on, so that a slow reader slows the writer. */
export function writeTo(stream: Writable, data: string | Uint8Array): Promise<void> {
  return new Promise((resolve, reject) => {
    stream.write(data, (error) => {
      if (error === null || error === undefined) resolve();
      else reject(error);
    });
  });
}
