/* Emphasis repair of one paragraph: pairs and nests the stars of *actions* that a model closed badly. Pure.
   The twin of web/rendering/emphasis_repair.py, which says how; change both together (tests/browser/test_prose_twins.py).
   repairEmphasis is repair_emphasis there, EmphasisRepair is _EmphasisRepair, and their methods have the same names. */

export const OPEN = { em: "\ufdd0", strong: "\ufdd2" };
export const CLOSE = { em: "\ufdd1", strong: "\ufdd3" };

const FOREIGN = /[\ufdd0-\ufdd3]/g;
const PIECES = /(`+[^`]+`+|\\.|\*+|\n|["“”「」『』«»])/;
const LETTER = /[\p{L}\p{N}]/u;
const IN_WORD = /^[0-9A-Za-z]/;
const isSpace = (letter) => /^\s$/.test(letter);

/** The paragraph with marks in the place of stars. */
export function repairEmphasis(paragraph) {
  const repair = new EmphasisRepair();
  const text = paragraph.replace(FOREIGN, "");
  let at = 0;
  text.split(PIECES).forEach((piece, index) => {
    if (index % 2 && piece[0] === "*") {
      repair.stars(piece, text[at - 1] ?? " ", text[at + piece.length] ?? "");
    } else {
      repair.plain(piece, index % 2 === 1 && !"`\\".includes(piece[0]));
    }
    at += piece.length;
  });
  return repair.finish();
}

class EmphasisRepair {
  #out = [];
  #open = []; // [kind, index of the piece that is its opening mark]
  #edge = 0; // where an action began whose first star is missing

  plain(piece, edge) {
    this.#out.push(piece);
    if (edge) this.#edge = this.#out.length;
  }

  stars(run, before, after) {
    const loose = isSpace(before) && (!after || isSpace(after));
    const inWord = run.length === 1 && IN_WORD.test(before) && IN_WORD.test(after);
    if (run.length > 3 || ((loose || inWord) && after && !this.#open.length)) {
      this.#literal(run);
    } else if (!loose || this.#open.length) {
      this.#turn(run, Boolean(after) && !isSpace(after), !isSpace(before) || loose);
    }
  }

  #literal(run) {
    this.#out.push("\\*".repeat(run.length));
  }

  finish() {
    while (this.#open.length) this.#closeAtLineEnd(...this.#open.pop());
    return this.#out.join("");
  }

  #turn(run, opens, closes) {
    const kinds = [["em"], ["strong"], ["strong", "em"]][run.length - 1];
    const held = this.#open.map(([kind]) => kind).filter((kind) => kinds.includes(kind));
    if (held.length && closes) {
      for (const kind of held) this.#close(kind);
      return;
    }
    while (this.#open.some(([kind]) => held.includes(kind))) this.#closeAtLineEnd(...this.#open.pop());
    if (opens) {
      for (const kind of kinds) {
        this.#open.push([kind, this.#out.length]);
        this.#out.push(OPEN[kind]);
      }
    } else if (run === "*") {
      this.#openAtEdge(run);
    }
  }

  #close(kind) {
    while (this.#open.some(([other]) => kind === other)) this.#out.push(CLOSE[this.#open.pop()[0]]);
    this.#edge = this.#out.length;
  }

  #closeAtLineEnd(kind, start) {
    const found = this.#out.findIndex((piece, index) => index >= start && piece.endsWith("\n"));
    const place = found < 0 ? this.#out.length - 1 : found;
    this.#out[place] = this.#out[place].replace(/\n?$/, (end) => CLOSE[kind] + end);
  }

  #openAtEdge(run) {
    const action = this.#out.slice(this.#edge).join("");
    if (/\p{Nd}$/u.test(action)) {
      this.#literal(run);
    } else if (LETTER.test(action) && !this.#open.length) {
      const space = action.length - action.trimStart().length;
      this.#out.splice(this.#edge, Infinity, action.slice(0, space), OPEN.em + action.slice(space) + CLOSE.em);
      this.#edge = this.#out.length;
    }
  }
}
