/* Where you write: the draft that survives a reload, the keys, the button that is Send or Stop.
   Events: "send" (detail: the text), "stop", "retry". */

import { keep, recall } from "./keep.js";

const byTouch = matchMedia("(pointer: coarse)");

export class Composer extends EventTarget {
  constructor(chat) {
    super();
    this.chat = chat;
    this.form = document.getElementById("composer");
    this.draft = document.getElementById("draft");
    this.button = document.getElementById("send");
    this.notice = document.getElementById("notice");
    if (!this.draft.value) this.draft.value = recall("draft", chat) ?? "";
    this.draft.addEventListener("input", () => this.#changed());
    this.form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.#press();
    });
    document.addEventListener("keydown", (event) => this.#key(event));
    this.#grow();
    if (!byTouch.matches) this.draft.focus({ preventScroll: true });
  }

  /** Send becomes Stop while a reply is under way. */
  setBusy(busy) {
    this.button.dataset.mode = busy ? "stop" : "send";
    this.button.setAttribute("aria-label", busy ? "Stop" : "Send");
  }

  /** Put a text that could not be sent back, before whatever was written since. */
  giveBack(text) {
    this.draft.value = [text, this.draft.value].filter(Boolean).join("\n\n");
    this.#changed();
  }

  clear() {
    this.draft.value = "";
    this.#changed();
  }

  /** A sentence above the box; none takes it away. `calm`: it only informs, nothing is wrong. */
  say(sentence = "", calm = false) {
    this.notice.textContent = sentence;
    this.notice.toggleAttribute("data-calm", calm);
    this.notice.hidden = !sentence;
  }

  #press() {
    if (this.button.dataset.mode === "stop") this.dispatchEvent(new Event("stop"));
    else this.#send();
  }

  #send() {
    const text = this.draft.value.trim();
    if (text) this.dispatchEvent(new CustomEvent("send", { detail: text }));
  }

  #key(event) {
    if (event.isComposing) return;
    if (event.key === "Escape") {
      this.dispatchEvent(new Event("stop"));
    } else if (event.key === "Enter" && event.ctrlKey) {
      event.preventDefault();
      this.dispatchEvent(new Event("retry"));
    } else if (event.key === "Enter" && event.target === this.draft && !event.shiftKey && !byTouch.matches) {
      event.preventDefault();
      if (this.button.dataset.mode === "send") this.#send();
    }
  }

  #changed() {
    keep("draft", this.chat, this.draft.value);
    this.say();
    this.#grow();
  }

  #grow() {
    if (CSS.supports("field-sizing", "content")) return;
    this.draft.style.height = "auto";
    this.draft.style.height = `${this.draft.scrollHeight}px`;
  }
}
