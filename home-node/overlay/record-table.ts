// A set of (hash, owner) pairs, each with the minute at which it ends. Columns of typed arrays and chains through them: a
// million pairs take some 50 MB, where a million entries of a Map take several hundred. Owners are small numbers here.

import { HASH_BYTES } from "../../lib/hash.ts";

const FIRST_CAPACITY = 1024;
const NONE = -1;
const WORDS = HASH_BYTES / 4;

/** Pairs in columns, as they lie on disk: `count` of each. */
export interface RecordColumns {
  hashes: Uint8Array<ArrayBuffer>;
  owners: Uint32Array<ArrayBuffer>;
  minutes: Uint32Array<ArrayBuffer>;
}

export class RecordTable {
  readonly #max: number;
  /** Whoever may choose hashes does not know it, and cannot put them all into one chain. */
  readonly #seed: number;
  #hashes = new Uint8Array(0);
  #owners = new Uint32Array(0);
  /** When the pair ends, in minutes since 1970; 0 where there is none. */
  #minutes = new Uint32Array(0);
  #next = new Int32Array(0);
  #heads = new Int32Array(0);
  #free = NONE;
  #used = 0;
  #size = 0;

  /** `seed` is any 32-bit number. */
  constructor(max: number, seed: number) {
    this.#max = max;
    this.#seed = seed;
    this.#resize(Math.min(FIRST_CAPACITY, max));
  }

  get size(): number {
    return this.#size;
  }

  get isFull(): boolean {
    return this.#size >= this.#max;
  }

  /** The owners of a hash whose pairs end after `minute`. */
  ownersOf(hash: Uint8Array, minute: number): number[] {
    const found: number[] = [];
    for (let at = this.#head(hash); at !== NONE; at = this.#next[at] ?? NONE)
      if (this.#isOf(at, hash) && (this.#minutes[at] ?? 0) > minute) found.push(this.#owners[at] ?? 0);
    return found;
  }

  /** Lets a pair that is there end at `minute`; false where it is not there. */
  renew(hash: Uint8Array, owner: number, minute: number): boolean {
    for (let at = this.#head(hash); at !== NONE; at = this.#next[at] ?? NONE) {
      if (this.#owners[at] !== owner || !this.#isOf(at, hash)) continue;
      this.#minutes[at] = minute;
      return true;
    }
    return false;
  }

  /** Adds a pair that is not there. Throws where the table is full. */
  add(hash: Uint8Array, owner: number, minute: number): void {
    if (this.isFull) throw new RangeError("the table is full");
    const at = this.#place();
    this.#hashes.set(hash, at * HASH_BYTES);
    this.#owners[at] = owner;
    this.#minutes[at] = minute;
    this.#link(at);
    this.#size += 1;
  }

  /** Removes the pairs that have ended by `minute`; `onRemoved` is told the owner of each. */
  expire(minute: number, onRemoved: (owner: number) => void): void {
    this.#heads.fill(NONE);
    this.#free = NONE;
    for (let at = 0; at < this.#used; at++) {
      const ends = this.#minutes[at] ?? 0;
      if (ends > minute) this.#link(at);
      else {
        if (ends > 0) {
          onRemoved(this.#owners[at] ?? 0);
          this.#size -= 1;
        }
        this.#minutes[at] = 0;
        this.#next[at] = this.#free;
        this.#free = at;
      }
    }
  }

  /** A copy of all pairs. */
  columns(): RecordColumns {
    const hashes = new Uint8Array(this.#size * HASH_BYTES);
    const owners = new Uint32Array(this.#size);
    const minutes = new Uint32Array(this.#size);
    let count = 0;
    for (let at = 0; at < this.#used; at++) {
      if (this.#minutes[at] === 0) continue;
      hashes.set(this.#hashes.subarray(at * HASH_BYTES, (at + 1) * HASH_BYTES), count * HASH_BYTES);
      owners[count] = this.#owners[at] ?? 0;
      minutes[count] = this.#minutes[at] ?? 0;
      count += 1;
    }
    return { hashes, owners, minutes };
  }

  #place(): number {
    if (this.#free !== NONE) {
      const at = this.#free;
      this.#free = this.#next[at] ?? NONE;
      return at;
    }
    if (this.#used === this.#owners.length) this.#resize(Math.min(2 * this.#used, this.#max));
    return this.#used++;
  }

  #resize(capacity: number): void {
    this.#hashes = enlarge(new Uint8Array(capacity * HASH_BYTES), this.#hashes);
    this.#owners = enlarge(new Uint32Array(capacity), this.#owners);
    this.#minutes = enlarge(new Uint32Array(capacity), this.#minutes);
    this.#next = new Int32Array(capacity);
    this.#heads = new Int32Array(capacity).fill(NONE);
    for (let at = 0; at < this.#used; at++) this.#link(at);
  }

  /** Only called where every place is used, or after all chains were cut. */
  #link(at: number): void {
    const head = this.#chainOf(this.#hashes, at * HASH_BYTES);
    this.#next[at] = this.#heads[head] ?? NONE;
    this.#heads[head] = at;
  }

  #head(hash: Uint8Array): number {
    return this.#heads[this.#chainOf(hash, 0)] ?? NONE;
  }

  #isOf(at: number, hash: Uint8Array): boolean {
    const start = at * HASH_BYTES;
    for (let i = 0; i < HASH_BYTES; i++) if (this.#hashes[start + i] !== hash[i]) return false;
    return true;
  }

  #chainOf(bytes: Uint8Array, start: number): number {
    let mixed = this.#seed;
    for (let word = 0; word < WORDS; word++) {
      const at = start + 4 * word;
      const value =
        (bytes[at] ?? 0) |
        ((bytes[at + 1] ?? 0) << 8) |
        ((bytes[at + 2] ?? 0) << 16) |
        ((bytes[at + 3] ?? 0) << 24);
      mixed = Math.imul(mixed ^ value, 0x9e3779b1);
      mixed ^= mixed >>> 15;
    }
    return (mixed >>> 0) % this.#heads.length;
  }
}

function enlarge<T extends Uint8Array | Uint32Array>(larger: T, smaller: T): T {
  larger.set(smaller);
  return larger;
}
