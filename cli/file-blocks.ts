// A file's bytes for whoever is done with a block when it asks for the next: two buffers take turns, so that the next
// block is read meanwhile and a large file leaves no garbage behind.

import { type FileHandle, open } from "node:fs/promises";

const BLOCK_BYTES = 512 * 1024;

/** The bytes of a file (or of a pipe that has a name). A block is overwritten after the next one is asked for. */
export async function* fileBlocks(path: string): AsyncGenerator<Uint8Array> {
  const file = await open(path, "r");
  let next = readInto(file, new Uint8Array(BLOCK_BYTES));
  let spare = new Uint8Array(BLOCK_BYTES);
  try {
    for (;;) {
      const { buffer, bytesRead } = await next;
      if (bytesRead === 0) return;
      next = readInto(file, spare);
      spare = buffer;
      yield buffer.subarray(0, bytesRead);
    }
  } finally {
    // A reader that stops early leaves a read under way, which nobody asks how it ended.
    await next.catch(() => undefined);
    await file.close();
  }
}

function readInto(file: FileHandle, buffer: Uint8Array<ArrayBuffer>) {
  const reading = file.read(buffer, 0, buffer.length, null);
  reading.catch(() => undefined); // reported by whoever asks for the block
  return reading;
}
