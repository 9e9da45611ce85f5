/* The streaming messages: shows every part of a turn that writes a message in an element of its own, or, for a retry or a
   continue, in the message that it changes. `story` (story.js) has the list; `turn` (turn.js) has the texts. */

import { activeAlternative, isReply, isFromStoryteller } from "./message.js";
import { draw } from "../lib/prose.js";
import { stageText, writesMessage } from "./stages.js";
import { t } from "../lib/i18n.js";

export class StreamingMessages {
  #story;
  #slots = []; // { part, element, borrowed: id or null, base, drawn }
  #frame = 0;
  #turn = null;

  constructor(story) {
    this.#story = story;
  }

  /** Show the turn as it is now; drawn once per frame however fast its text comes. */
  show(turn) {
    if (this.#turn !== turn) this.drop();
    this.#turn = turn;
    this.#arrangeParts();
    this.#frame ||= requestAnimationFrame(() => {
      this.#frame = 0;
      for (const one of this.#slots) this.#draw(one);
      this.#story.follow();
    });
  }

  /** The turn has ended: the server's messages take the places of what was shown; the rest goes away. */
  finish(messages) {
    const free = this.#slots.filter((one) => !one.borrowed);
    for (const message of messages) {
      if (this.#story.elementOf(message.id)) continue;
      const place = free.findIndex((one) => one.part.role === message.role);
      if (place >= 0) free.splice(place, 1)[0].element.dataset.id = message.id;
    }
    const kept = new Set(messages.map((message) => message.id));
    this.#end((one) => kept.has(one.element.dataset.id));
  }

  /** Nothing came of it. */
  drop() {
    this.#end(() => false);
  }

  #end(isKept) {
    cancelAnimationFrame(this.#frame);
    this.#frame = 0;
    const shown = this.#slots;
    this.#slots = [];
    this.#turn = null;
    for (const one of shown) {
      this.#hideStage(one);
      delete one.element.dataset.stale;
      if (isKept(one)) continue;
      if (one.borrowed) this.#story.refill(one.borrowed);
      else one.element.remove();
    }
  }

  /** One element per part that tells; the last one shows the stage. */
  #arrangeParts() {
    const telling = this.#turn.parts.filter((part) => writesMessage(part.kind));
    for (const extra of this.#slots.splice(telling.length)) {
      if (extra.borrowed) this.#story.refill(extra.borrowed);
      else extra.element.remove();
    }
    telling.forEach((part, index) => {
      this.#slots[index] ??= this.#newSlot(part);
      this.#showName(this.#slots[index]);
      if (part === this.#turn.part) this.#showStage(this.#slots[index]);
      else this.#hideStage(this.#slots[index]);
    });
  }

  #newSlot(part) {
    const borrowed = this.#messageChangedBy(part);
    if (!borrowed) return { part, element: this.#story.appendBlank(), borrowed: null, base: "", drawn: null };
    const base = part.kind === "continue" ? activeAlternative(borrowed).text : "";
    const element = this.#story.elementOf(borrowed.id);
    if (part.kind === "retry") element.dataset.stale = "";
    return { part, element, borrowed: borrowed.id, base, drawn: null };
  }

  /** The message that a part changes: as the server says, or, before it has, as it will. */
  #messageChangedBy(part) {
    const named = this.#story.known.get(part.message);
    const last = this.#story.last;
    if (named) return named;
    if (part.kind === "retry" && isReply(last)) return last;
    return part.kind === "continue" && isFromStoryteller(last) ? last : null;
  }

  #showName({ element, part, borrowed }) {
    if (borrowed) return;
    element.dataset.role = part.role;
    const usual = part.role === "narrator" ? t("Narrator") : this.#story.root.dataset.character;
    element.querySelector(".name").textContent = part.name || usual;
  }

  #showStage({ element }) {
    const label = element.querySelector(".stage");
    element.dataset.live = "";
    label.hidden = false;
    label.dataset.state = this.#turn.stage.state;
    label.textContent = stageText(this.#turn.stage);
  }

  #hideStage({ element }) {
    delete element.dataset.live;
    element.querySelector(".stage").hidden = true;
  }

  #draw(one) {
    if (!one.part.text || one.drawn === one.part.text) return;
    one.drawn = one.part.text;
    const prose = one.element.querySelector(".prose");
    if (one.element.shown !== null) prose.replaceChildren(); // what the server rendered is not ours to patch
    one.element.shown = null;
    delete one.element.dataset.stale;
    draw(prose, one.base + (one.part.begins ?? "") + one.part.text);
  }
}
