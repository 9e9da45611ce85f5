/* The composer: the draft that survives a reload, the button that is Send or Stop, the keyboard shortcuts of the page.
   Events: "send" (detail: the text, "" for an empty send), "stop", "retry", "continue", "alternative" (detail: -1 or 1),
   "edit" (the last own message), "typed" (the person changed the draft), "wait" (Enter while a reply is under way). */

import { listen } from "../lib/page_scope.js";
import { load, store } from "../lib/storage.js";
import { t } from "../lib/i18n.js";

const byTouch = matchMedia("(pointer: coarse)");

export class Composer extends EventTarget {
  #passing = false; // the notice goes with the reply

  constructor(chat) {
    super();
    this.chat = chat;
    this.form = document.getElementById("composer");
    this.draft = document.getElementById("draft");
    this.button = document.getElementById("send");
    this.notice = document.getElementById("notice");
    this.words = document.getElementById("notice-words");
    this.reload = document.getElementById("reload");
    if (!this.draft.value) this.draft.value = load("draft", chat) ?? "";
    this.draft.addEventListener("input", () => this.#onInput());
    this.reload.addEventListener("click", () => location.reload());
    this.form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.#onButton();
    });
    listen(document, "keydown", (event) => this.#onKey(event));
    this.#draftChanged();
    this.button.disabled = false; // until now the browser itself would have sent the form, and lost the draft
    if (!byTouch.matches) this.focus();
  }

  /** Whether there is nothing in the box. */
  get empty() {
    return !this.draft.value.trim();
  }

  get text() {
    return this.draft.value;
  }

  focus() {
    this.draft.focus({ preventScroll: true });
  }

  /** Send becomes Stop while a reply is under way. */
  setBusy(busy) {
    this.button.dataset.mode = busy ? "stop" : "send";
    if (!busy && this.#passing) this.showNotice();
    this.#updateButton();
  }

  /** Put a text that could not be sent back, before whatever was written since. */
  restoreDraft(text) {
    this.setDraft([text, this.draft.value].filter(Boolean).join("\n\n"));
  }

  /** Replace the draft, for good. */
  setDraft(text) {
    this.draft.value = text;
    store("draft", this.chat, text);
    this.#draftChanged();
  }

  /** Show text that is still coming: it is not kept yet. */
  previewDraft(text) {
    this.draft.value = text;
    this.#draftChanged();
    this.draft.scrollTop = this.draft.scrollHeight;
  }

  /** A sentence above the box; none takes it away. `calm`: it only informs. `stale`: reloading the page helps. `passing`:
      it is true while a reply is under way. */
  showNotice(sentence = "", { calm = false, stale = false, passing = false } = {}) {
    this.#passing = passing;
    this.words.textContent = sentence;
    this.reload.hidden = !stale;
    this.notice.toggleAttribute("data-calm", calm || passing);
    this.notice.hidden = !sentence;
  }

  #onButton() {
    if (this.button.dataset.mode === "stop") this.#emit("stop");
    else this.#emit("send", this.draft.value.trim());
  }

  #emit(name, detail) {
    this.dispatchEvent(new CustomEvent(name, { detail }));
  }

  #onKey(event) {
    if (event.isComposing || event.defaultPrevented) return;
    const shortcut = this.#shortcut(event);
    if (!shortcut) return;
    event.preventDefault();
    this.#emit(...shortcut);
  }

  /** What a key asks for: [event, detail], or nothing. */
  #shortcut({ key, target, ctrlKey, altKey, shiftKey, metaKey }) {
    if (key === "Escape") return ["stop"];
    if (key === "Enter" && ctrlKey) return ["retry"];
    if (key === "Enter" && altKey) return ["continue"];
    if (key === "Enter" && target === this.draft && !shiftKey && !byTouch.matches) {
      return this.button.dataset.mode === "send" ? ["send", this.draft.value.trim()] : ["wait"];
    }
    const free = target === this.draft ? !this.draft.value : !target.closest("a, button, input, textarea, [role=menu]");
    if (!free || ctrlKey || altKey || shiftKey || metaKey) return null;
    if (key === "ArrowUp" && target === this.draft) return ["edit"];
    if (key === "ArrowLeft") return ["alternative", -1];
    if (key === "ArrowRight") return ["alternative", 1];
    return null;
  }

  #onInput() {
    store("draft", this.chat, this.draft.value);
    this.showNotice();
    this.#draftChanged();
    this.#emit("typed");
  }

  #draftChanged() {
    this.#updateButton();
    if (CSS.supports("field-sizing", "content")) return;
    this.draft.style.height = "auto";
    this.draft.style.height = `${this.draft.scrollHeight}px`;
  }

  #updateButton() {
    const stop = this.button.dataset.mode === "stop";
    this.button.toggleAttribute("data-empty", this.empty);
    this.button.setAttribute("aria-label", stop ? t("Stop") : this.empty ? t("Continue the story") : t("Send"));
  }
}
