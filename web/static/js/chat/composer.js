/* Where you write: the draft that survives a reload, the button that is Send or Stop, the keys of the whole page.
   Events: "send" (detail: the text, "" for an empty send), "stop", "retry", "continue", "swipe" (detail: -1 or 1),
   "edit" (the last own message), "typed" (the person changed the draft). */

import { keep, recall } from "../lib/storage.js";
import { t } from "../lib/i18n.js";

const byTouch = matchMedia("(pointer: coarse)");

export class Composer extends EventTarget {
  constructor(chat) {
    super();
    this.chat = chat;
    this.form = document.getElementById("composer");
    this.draft = document.getElementById("draft");
    this.button = document.getElementById("send");
    this.notice = document.getElementById("notice");
    this.words = document.getElementById("notice-words");
    this.reload = document.getElementById("reload");
    if (!this.draft.value) this.draft.value = recall("draft", chat) ?? "";
    this.draft.addEventListener("input", () => this.#typed());
    this.reload.addEventListener("click", () => location.reload());
    this.form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.#press();
    });
    document.addEventListener("keydown", (event) => this.#key(event));
    this.#changed();
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
    this.#name();
  }

  /** Put a text that could not be sent back, before whatever was written since. */
  giveBack(text) {
    this.fill([text, this.draft.value].filter(Boolean).join("\n\n"));
  }

  /** Replace the draft, for good. */
  fill(text) {
    this.draft.value = text;
    keep("draft", this.chat, text);
    this.#changed();
  }

  /** Show text that is still coming: it is not kept yet. */
  show(text) {
    this.draft.value = text;
    this.#changed();
    this.draft.scrollTop = this.draft.scrollHeight;
  }

  /** A sentence above the box; none takes it away. `calm`: it only informs. `stale`: reloading the page helps. */
  say(sentence = "", { calm = false, stale = false } = {}) {
    this.words.textContent = sentence;
    this.reload.hidden = !stale;
    this.notice.toggleAttribute("data-calm", calm);
    this.notice.hidden = !sentence;
  }

  #press() {
    if (this.button.dataset.mode === "stop") this.#tell("stop");
    else this.#tell("send", this.draft.value.trim());
  }

  #tell(name, detail) {
    this.dispatchEvent(new CustomEvent(name, { detail }));
  }

  #key(event) {
    if (event.isComposing || event.defaultPrevented) return;
    const told = this.#meaning(event);
    if (!told) return;
    event.preventDefault();
    this.#tell(...told);
  }

  /** What a key asks for: [event, detail], or nothing. */
  #meaning({ key, target, ctrlKey, altKey, shiftKey, metaKey }) {
    if (key === "Escape") return ["stop"];
    if (key === "Enter" && ctrlKey) return ["retry"];
    if (key === "Enter" && altKey) return ["continue"];
    if (key === "Enter" && target === this.draft && !shiftKey && !byTouch.matches) {
      return this.button.dataset.mode === "send" ? ["send", this.draft.value.trim()] : ["wait"];
    }
    const free = target === this.draft ? !this.draft.value : !target.closest("a, button, input, textarea, [role=menu]");
    if (!free || ctrlKey || altKey || shiftKey || metaKey) return null;
    if (key === "ArrowUp" && target === this.draft) return ["edit"];
    if (key === "ArrowLeft") return ["swipe", -1];
    if (key === "ArrowRight") return ["swipe", 1];
    return null;
  }

  #typed() {
    keep("draft", this.chat, this.draft.value);
    this.say();
    this.#changed();
    this.#tell("typed");
  }

  #changed() {
    this.#name();
    if (CSS.supports("field-sizing", "content")) return;
    this.draft.style.height = "auto";
    this.draft.style.height = `${this.draft.scrollHeight}px`;
  }

  #name() {
    const stop = this.button.dataset.mode === "stop";
    this.button.toggleAttribute("data-empty", this.empty);
    this.button.setAttribute("aria-label", stop ? t("Stop") : this.empty ? t("Continue the story") : t("Send"));
  }
}
