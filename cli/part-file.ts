// A download on its way into a file: bytes go to <path>.part, which an interrupted download leaves behind for the next
// one to go on from, and which takes the file's name only when it is whole, verified and on disk.

import { constants } from "node:fs";
import { type FileHandle, open, rename } from "node:fs/promises";
import type { Sink } from "../lib/client/download.ts";

export class PartFile implements Sink {
  readonly #path: string;
  readonly #handle: FileHandle;
  readonly #keptBytes: number;

  private constructor(path: string, handle: FileHandle, keptBytes: number) {
    this.#path = path;
    this.#handle = handle;
    this.#keptBytes = keptBytes;
  }

  static async open(path: string): Promise<PartFile> {
    const handle = await open(`${path}.part`, constants.O_RDWR | constants.O_CREAT, 0o666);
    return new PartFile(path, handle, (await handle.stat()).size);
  }

  /** What an earlier attempt left at `offset`; null where it did not get so far. */
  async read(offset: number, length: number): Promise<Uint8Array<ArrayBuffer> | null> {
    if (offset + length > this.#keptBytes) return null;
    const buffer = new Uint8Array(length);
    let done = 0;
    while (done < length) {
      const { bytesRead } = await this.#handle.read(buffer, done, length - done, offset + done);
      if (bytesRead === 0) return null;
      done += bytesRead;
    }
    return buffer;
  }

  async write(bytes: Uint8Array, offset: number): Promise<void> {
    let done = 0;
    while (done < bytes.length) {
      const { bytesWritten } = await this.#handle.write(bytes, done, bytes.length - done, offset + done);
      done += bytesWritten;
    }
  }

  /**
   * Cuts what is left of a longer attempt and gives the file its name; durably, it is on disk before. Of a tree of many small
   * files a power cut may take the last ones: they are compared, and fetched again, when the tree is.
   */
  async commit(sizeBytes: number, { durably = true }: { durably?: boolean } = {}): Promise<void> {
    await this.#handle.truncate(sizeBytes);
    if (durably) await this.#handle.sync();
    await this.#handle.close();
    await rename(`${this.#path}.part`, this.#path);
  }

  /** Leaves the .part for a later attempt. */
  async abandon(): Promise<void> {
    await this.#handle.close();
  }
}
