// How much more this node may keep: the pledge, and the disk's free space less a reserve. Writes take their room
// before they begin, so uploads at the same time cannot pass the pledge together.

import { statfs } from "node:fs/promises";
import { HoldfastError } from "../../lib/error.ts";

/** The file system is asked again after this long, */
const FREE_DISK_MS = 1_000;
/** and before every write that comes within this many bytes of the reserve. */
const FREE_DISK_MARGIN_BYTES = 1024 ** 3;

export interface RoomOptions {
  /** Bytes of files that the volunteer is willing to keep. */
  pledgedBytes: number;
  /** Bytes of the file system that stay free. */
  diskReserveBytes: number;
  /** Bytes that the file system has left for us. */
  freeDiskBytes: () => Promise<number>;
}

export async function freeDiskBytesOf(path: string): Promise<number> {
  const { bavail, bsize } = await statfs(path);
  return bavail * bsize;
}

export class Room {
  readonly #options: RoomOptions;
  #usedBytes = 0;
  #reservedBytes = 0;
  /** What the file system last said, less what was written since. */
  #disk = { freeBytes: 0, askedAtMs: Number.NEGATIVE_INFINITY };

  constructor(options: RoomOptions) {
    this.#options = options;
  }

  get usedBytes(): number {
    return this.#usedBytes;
  }

  /** Counts a file found at the start. */
  add(bytes: number): void {
    this.#usedBytes += bytes;
  }

  /** Counts a file that was deleted. */
  remove(bytes: number): void {
    this.#usedBytes -= bytes;
  }

  /** Bytes that the node can still take; 0 when it is full. */
  async freeBytes(): Promise<number> {
    const onDisk =
      (await this.#options.freeDiskBytes()) - this.#options.diskReserveBytes - this.#reservedBytes;
    return Math.max(0, Math.min(this.#pledgeLeft(), onDisk));
  }

  /** Runs `write` with `bytes` reserved, and counts them if it succeeds. Throws `quota-exceeded` or `disk-full`. */
  async use<T>(bytes: number, write: () => Promise<T>): Promise<T> {
    this.#reserve(bytes, await this.#freeDisk());
    try {
      const result = await write();
      this.#usedBytes += bytes;
      this.#disk.freeBytes -= bytes;
      return result;
    } finally {
      this.#reservedBytes -= bytes;
    }
  }

  async #freeDisk(): Promise<number> {
    const spare = this.#disk.freeBytes - this.#options.diskReserveBytes - this.#reservedBytes;
    const isFresh = performance.now() - this.#disk.askedAtMs < FREE_DISK_MS;
    if (isFresh && spare > FREE_DISK_MARGIN_BYTES) return this.#disk.freeBytes;
    this.#disk = { freeBytes: await this.#options.freeDiskBytes(), askedAtMs: performance.now() };
    return this.#disk.freeBytes;
  }

  #reserve(bytes: number, freeDisk: number): void {
    if (bytes > this.#pledgeLeft()) {
      throw new HoldfastError("quota-exceeded", "the home node keeps as much as its volunteer pledged");
    }
    if (bytes > freeDisk - this.#options.diskReserveBytes - this.#reservedBytes) {
      throw new HoldfastError("disk-full", "the home node's disk has reached its reserve");
    }
    this.#reservedBytes += bytes;
  }

  #pledgeLeft(): number {
    return this.#options.pledgedBytes - this.#usedBytes - this.#reservedBytes;
  }
}
