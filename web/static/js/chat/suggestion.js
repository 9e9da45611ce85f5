/* The suggestion of what the person could say: streams into an empty draft and is theirs to edit. It never overwrites a
   draft: then it is offered above the box instead. A used or sent suggestion does not come back after a reload. */

import { load, store } from "../lib/storage.js";
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
    composer.addEventListener("typed", () => this.#stopStreaming());
    this.use.addEventListener("click", () => this.#use());
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
    if (this.#streaming && text) this.composer.previewDraft(text);
  }

  /** The turn has ended; `text` is what it suggests, if it does. True when that is in the box now. */
  finish(turn, text) {
    const isStreamed = this.#turn === turn && this.#streaming;
    if (!text && isStreamed) this.composer.setDraft(this.composer.text); // it failed: what has come stays
    this.#stopStreaming();
    this.#turn = null;
    return Boolean(text) && this.arrive(turn, text, isStreamed);
  }

  /** A finished suggestion, perhaps of another window or another day. */
  arrive(turn, text, isStreamed = false) {
    if (load("suggested", this.chat) === turn) return false;
    if (isStreamed || this.composer.empty) {
      this.#markUsed(turn);
      this.composer.setDraft(text);
      return true;
    }
    if (this.composer.text.trim() !== text.trim()) this.#offer({ text, turn }, t("A suggestion"), t("Use it"));
    return false;
  }

  #stopStreaming() {
    this.#streaming = false;
    this.composer.draft.removeAttribute("data-suggested");
  }

  #use() {
    const { text, turn } = this.#offered;
    const mine = this.composer.text;
    this.#markUsed(turn);
    this.composer.setDraft(text);
    this.composer.focus();
    if (mine.trim()) this.#offer({ text: mine, turn: null }, t("Your own text"), t("Restore"));
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
    if (forGood) this.#markUsed(this.#offered?.turn);
    this.#offered = null;
    this.bar.hidden = true;
  }

  #markUsed(turn) {
    if (turn) store("suggested", this.chat, turn);
  }
}
