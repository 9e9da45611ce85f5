/* The state of the unfinished turn: its parts, their texts so far, the last sequence number. No DOM.
   A new attempt begins again at part 0, offset 0; the text of the old one stays in `text` until new text replaces it. */

const ROLES = { narrate: "narrator", suggest: "user", status: "status" };

export class Turn {
  constructor({ id, kind, state = "sending", attempt = 0, partial = "", begins = "" }) {
    this.id = id;
    this.kind = kind;
    this.attempt = attempt;
    this.seq = 0;
    this.stage = { state };
    this.parts = [{ kind, role: ROLES[kind] ?? "character", name: "", message: null, begins, text: partial }];
  }

  /** The part that is being done now. */
  get part() {
    return this.parts.at(-1);
  }

  /** A `part` event. */
  beginPart({ part: index, attempt, kind, role, name, message, begins = "" }) {
    this.attempt = Math.max(attempt, this.attempt);
    this.parts.length = Math.min(this.parts.length, index + 1);
    if (this.parts.length <= index) this.parts.push({ text: "" });
    Object.assign(this.part, { kind, role, name, message, begins });
  }

  /** A `text` event. Offsets count characters as the server does: code points. */
  addText({ part: index = 0, attempt, offset, text }) {
    const part = this.parts[index] ?? this.part;
    if (attempt > this.attempt && offset === 0) part.text = "";
    this.attempt = Math.max(attempt, this.attempt);
    part.text = [...part.text].slice(0, offset).join("") + text;
    this.stage = { state: "writing" };
  }
}
