/* The in-place editor: one message at a time, in a box where its text was. Escape closes, Ctrl+Enter saves.
   When another window changes that message meanwhile, the box shows what it says now; when another one deletes it, its words
   are given back. Events: "save" (detail: { message, text, seen }), "close", "gone" (detail: the words). */

import { activeAlternative } from "./message.js";
import { checksum } from "../lib/checksum.js";
import { t } from "../lib/i18n.js";

export class MessageEditor extends EventTarget {
  #element = null;
  #message = null;

  constructor() {
    super();
    this.blank = document.getElementById("edit-blank");
  }

  begin(element, message) {
    this.close(false);
    [this.#element, this.#message] = [element, message];
    const form = this.blank.content.firstElementChild.cloneNode(true);
    this.form = form;
    this.box = form.querySelector("textarea");
    this.box.value = activeAlternative(message).text;
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.#save();
    });
    form.addEventListener("keydown", (event) => this.#onKey(event));
    form.querySelector("[data-cancel]").addEventListener("click", () => this.close());
    element.dataset.mode = "edit";
    element.querySelector(".prose").after(form);
    this.box.addEventListener("input", () => this.#fitHeight());
    this.#fitHeight();
    this.box.focus({ preventScroll: true });
    form.scrollIntoView({ block: "nearest" });
  }

  /** What a change of this message costs, in words; too late when another one is being edited. */
  showCost(message, words) {
    if (this.#message?.id === message.id) this.form.querySelector(".hint").textContent = words;
  }

  /** What the server says now. `find(id)`: a message as it is, or nothing where it is gone. */
  catchUp(find) {
    if (!this.#element) return;
    const [now, text] = [find(this.#message.id), this.box.value];
    if (!now) {
      this.close();
      this.dispatchEvent(new CustomEvent("gone", { detail: text }));
      return;
    }
    const isNews = this.#textOf(now) !== this.#textOf(this.#message); // else the box may have been opened just now
    this.#message = now;
    if (isNews && this.#textOf(now) === text.trim()) this.close();
    else if (isNews) this.#showOther(this.#textOf(now));
  }

  close(tell = true) {
    if (!this.#element) return;
    delete this.#element.dataset.mode;
    this.form.remove();
    this.#element = this.#message = null;
    if (tell) this.dispatchEvent(new Event("close"));
  }

  /** The server has the new words. */
  saved(id) {
    if (this.#message?.id === id) this.close();
  }

  /** It was refused: the words stay here. */
  refused() {
    if (this.#element) this.#setWaiting(false);
  }

  #save() {
    const text = this.box.value.trim();
    if (!text) return this.box.focus();
    const before = this.#textOf(this.#message);
    if (text === before) return this.close();
    this.#setWaiting(true);
    this.dispatchEvent(new CustomEvent("save", { detail: { message: this.#message, text, seen: checksum(before) } }));
    return undefined;
  }

  #textOf(message) {
    return activeAlternative(message).text;
  }

  /** Another window has saved: its words beside mine, and saving again is a choice. */
  #showOther(text) {
    const other = this.form.querySelector(".other");
    other.hidden = false;
    other.querySelector("blockquote").textContent = text;
    this.form.querySelector("[data-testid=edit-save]").textContent = t("Save mine instead");
    this.#setWaiting(false);
    this.form.scrollIntoView({ block: "nearest" });
  }

  #setWaiting(waiting) {
    this.form.querySelector("[data-testid=edit-save]").disabled = waiting;
    this.box.readOnly = waiting;
  }

  #onKey(event) {
    event.stopPropagation();
    if (event.isComposing) return;
    if (event.key === "Escape") this.close();
    else if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) this.#save();
    else return;
    event.preventDefault();
  }

  #fitHeight() {
    if (CSS.supports("field-sizing", "content")) return;
    this.box.style.height = "auto";
    this.box.style.height = `${this.box.scrollHeight + 2}px`;
  }
}
