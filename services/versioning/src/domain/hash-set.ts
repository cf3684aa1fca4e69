const WORDS = 4;
const FULL = 0.7;

/**
 * A set of hashes (or ids) that costs 16 bytes a slot and nothing else: about 27 bytes for each hash, 16 MiB for half a million. A Set of
 * strings takes five times as much. The first 16 bytes stand for the whole: among a million hashes two are taken for one with a chance
 * of 10^-27.
 */
export class HashSet {
  #slots = new Uint32Array(WORDS * 1_024);
  #size = 0;

  /** How many hashes it holds. */
  get size(): number {
    return this.#size;
  }

  /** Takes in a hash of at least 16 bytes; false when it was there. */
  add(bytes: Buffer): boolean {
    const slot = this.#find(bytes);
    if (this.#isTaken(slot)) return false;
    this.#write(slot, bytes);
    this.#size++;
    if (this.#size > (this.#slots.length / WORDS) * FULL) this.#grow();
    return true;
  }

  /** Whether a hash is there. */
  has(bytes: Buffer): boolean {
    return this.#isTaken(this.#find(bytes));
  }

  /** The slot of a hash, or the free one where it belongs. */
  #find(bytes: Buffer): number {
    const slots = this.#slots;
    const [a, b, c, d] = wordsOf(bytes);
    const count = slots.length / WORDS;
    for (let n = a % count; ; n = (n + 1) % count) {
      const at = n * WORDS;
      if (!this.#isTaken(at)) return at;
      if (slots[at] === a && slots[at + 1] === b && slots[at + 2] === c && slots[at + 3] === d) return at;
    }
  }

  #isTaken(at: number): boolean {
    return this.#slots[at + WORDS - 1] !== 0;
  }

  #write(at: number, bytes: Buffer): void {
    this.#slots.set(wordsOf(bytes), at);
  }

  #grow(): void {
    const old = this.#slots;
    this.#slots = new Uint32Array(old.length * 2);
    const count = this.#slots.length / WORDS;
    for (let from = 0; from < old.length; from += WORDS) {
      if (old[from + WORDS - 1] === 0) continue;
      let n = (old[from] as number) % count;
      while (this.#isTaken(n * WORDS)) n = (n + 1) % count;
      this.#slots.set(old.subarray(from, from + WORDS), n * WORDS);
    }
  }
}

/** The first 16 bytes; the last word is never 0, which marks a free slot. */
function wordsOf(bytes: Buffer): [number, number, number, number] {
  return [bytes.readUInt32LE(0), bytes.readUInt32LE(4), bytes.readUInt32LE(8), bytes.readUInt32LE(12) || 1];
}
