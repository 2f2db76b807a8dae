// Text to ids and back, as helpers/tokenizer.py does it: byte-level BPE with GPT-2's split (notebook 01).

// GPT-2's pattern. \s is spelled out: JavaScript counts U+FEFF as white space and leaves out U+0085.
const W = "\\p{White_Space}";
const SPLIT = new RegExp(
  `'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^${W}\\p{L}\\p{N}]+|${W}+(?!\\P{White_Space})|${W}+`,
  "gu",
);
const KNOWN = 65536; // pieces whose ids are remembered

/** The byte that each character of a vocabulary stands for: a printable one itself, the other 68 from U+0100 on. */
function bytesByCharacter() {
  const printable = (byte) => (byte >= 0x21 && byte <= 0x7e) || (byte >= 0xa1 && byte !== 0xad);
  const found = new Map();
  let next = 256;
  for (let byte = 0; byte < 256; byte++) found.set(String.fromCharCode(printable(byte) ? byte : next++), byte);
  return found;
}

export class Tokenizer {
  /** @param content what course/site/page_facts.py writes: {tokens, merges, special, end} */
  constructor({ tokens, merges, special, end }) {
    const byteOf = bytesByCharacter();
    const named = new Set(special);
    const text = new TextEncoder();
    this.end = end;
    this.size = tokens.length;
    this.special = named;
    this.names = tokens;
    this.bytes = tokens.map((token, id) =>
      named.has(id) ? text.encode(token) : Uint8Array.from(token, (character) => byteOf.get(character)),
    );
    this.ofByte = new Map();
    this.bytes.forEach((bytes, id) => {
      if (bytes.length === 1 && !named.has(id)) this.ofByte.set(bytes[0], id);
    });
    this.merges = new Map(merges.map(([left, right, made], rank) => [left * this.size + right, { rank, made }]));
    this.known = new Map();
  }

  /** The ids of a text; the name of a special token in it is read as plain characters. */
  encode(text) {
    const ids = [];
    for (const [piece] of text.matchAll(SPLIT)) for (const id of this.encodePiece(piece)) ids.push(id);
    return ids;
  }

  encodePiece(piece) {
    let ids = this.known.get(piece);
    if (ids) return ids;
    ids = Array.from(new TextEncoder().encode(piece), (byte) => this.ofByte.get(byte));
    for (;;) {
      // The merge that was learned first, and the leftmost of equal ones.
      let best = null;
      let at = -1;
      for (let i = 0; i + 1 < ids.length; i++) {
        const merge = this.merges.get(ids[i] * this.size + ids[i + 1]);
        if (merge && (best === null || merge.rank < best.rank)) [best, at] = [merge, i];
      }
      if (best === null) break;
      ids.splice(at, 2, best.made);
    }
    if (this.known.size < KNOWN && piece.length <= 32) this.known.set(piece, ids);
    return ids;
  }

  /** The text of ids, special tokens by their names. Bytes that are no UTF-8 become U+FFFD. */
  decode(ids) {
    const parts = Array.from(ids, (id) => this.bytesOf(id));
    const whole = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
    let at = 0;
    for (const part of parts) {
      whole.set(part, at);
      at += part.length;
    }
    return new TextDecoder("utf-8", { ignoreBOM: true }).decode(whole);
  }

  /**
   * One token as it can be shown: its text, or where it holds only a part of a character, its bytes as <E2><80>. A model
   * may have more ids than its tokenizer: one without a text is shown as a number.
   */
  piece(id) {
    if (id >= this.size) return `#${id}`;
    const bytes = this.bytesOf(id);
    try {
      return new TextDecoder("utf-8", { ignoreBOM: true, fatal: true }).decode(bytes);
    } catch {
      return Array.from(bytes, (byte) => `<${byte.toString(16).toUpperCase().padStart(2, "0")}>`).join("");
    }
  }

  bytesOf(id) {
    if (!Number.isInteger(id) || id < 0 || id >= this.size) {
      throw new RangeError(`id ${id} is outside the vocabulary (0 to ${this.size - 1})`);
    }
    return this.bytes[id];
  }
}
