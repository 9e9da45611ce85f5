/* A suggestion of what you could say: streams into the box while you let it, is yours to edit from then on. It never
   takes the place of words of yours: then it is offered above the box instead. What you have used or sent away does not
   come back after a reload. */

import { keep, recall } from "../lib/storage.js";
import { t } from "../lib/i18n.js";

export class Suggestion {
  #turn = null; // the turn that is suggesting
  #streaming = false; // into the box
  #offered = null; // { text, turn }

  constructor(composer, chat) {
    this.composer = composer;
    this.chat = chat;
    this.bar = document.getElementById("offer");
    this.title = document.getElementById("offer-title");
    this.words = document.getElementById("offer-words");
    this.use = document.getElementById("offer-use");
    composer.addEventListener("typed", () => this.#letGo());
    this.use.addEventListener("click", () => this.#take());
    document.getElementById("offer-dismiss").addEventListener("click", () => this.#close(true));
  }

  /** A suggestion is being written; again and again with all of its text so far. */
  stream(turn, text) {
    if (this.#turn !== turn) {
      this.#turn = turn;
      this.#streaming = this.composer.empty;
      this.#close(false);
    }
    this.composer.draft.toggleAttribute("data-suggested", this.#streaming);
    if (this.#streaming && text) this.composer.show(text);
  }

  /** The turn has ended; `text` is what it suggests, if it does. True when that is in the box now. */
  finish(turn, text) {
    const ours = this.#turn === turn && this.#streaming;
    if (!text && ours) this.composer.fill(this.composer.text); // it failed: what has come stays
    this.#letGo();
    this.#turn = null;
    return Boolean(text) && this.arrive(turn, text, ours);
  }

  /** A finished suggestion, perhaps of another window or another day. */
  arrive(turn, text, ours = false) {
    if (recall("suggested", this.chat) === turn) return false;
    if (ours || this.composer.empty) {
      this.#settle(turn);
      this.composer.fill(text);
      return true;
    }
    if (this.composer.text.trim() !== text.trim()) this.#offer({ text, turn }, t("A suggestion"), t("Use it"));
    return false;
  }

  #letGo() {
    this.#streaming = false;
    this.composer.draft.removeAttribute("data-suggested");
  }

  #take() {
    const { text, turn } = this.#offered;
    const mine = this.composer.text;
    this.#settle(turn);
    this.composer.fill(text);
    this.composer.focus();
    if (mine.trim()) this.#offer({ text: mine, turn: null }, t("Your own words"), t("Put them back"));
    else this.#close(false);
  }

  #offer(offered, title, button) {
    this.#offered = offered;
    this.title.textContent = title;
    this.words.textContent = offered.text;
    this.use.textContent = button;
    this.bar.hidden = false;
  }

  #close(forGood) {
    if (forGood) this.#settle(this.#offered?.turn);
    this.#offered = null;
    this.bar.hidden = true;
  }

  #settle(turn) {
    if (turn) keep("suggested", this.chat, turn);
  }
}
