/* The row above the box: Continue, Narrate, Suggest, Status, and the menu of what comes after each message of yours.
   While something is done that has no message in the story, the row says how far it is.
   Events: "ask" (detail: { kind, words }; words: what is in the box is a direction for the narrator). */

import { keep, recall } from "../lib/storage.js";
import { stageWords } from "./stages.js";
import { t } from "../lib/i18n.js";

const FOLLOWERS = { narrate: t("narrate"), status: t("status"), suggest: t("suggest") };
const WHO = { suggest: t("Your next line"), status: t("The status") };

export class Tools extends EventTarget {
  constructor(chat, composer) {
    super();
    this.chat = chat;
    this.composer = composer;
    this.row = document.getElementById("tools");
    this.doing = document.getElementById("doing");
    this.after = document.getElementById("after");
    this.menu = document.getElementById("after-menu");
    this.boxes = [...this.menu.querySelectorAll("input[name=then]")];
    this.direct = document.getElementById("narrate-words");
    const kept = recall("then", chat) ?? [];
    for (const box of this.boxes) box.checked = kept.includes(box.value);
    this.#count();
    this.row.addEventListener("click", (event) => {
      const kind = event.target.closest("button[data-kind]")?.dataset.kind;
      if (kind) this.#ask(kind, false);
    });
    this.direct.addEventListener("click", () => this.#ask("narrate", true));
    this.after.addEventListener("click", () => this.#open(this.menu.hidden));
    this.menu.addEventListener("change", () => this.#choose());
    document.addEventListener("pointerdown", (event) => {
      if (!this.menu.contains(event.target) && !this.after.contains(event.target)) this.#open(false);
    });
    document.addEventListener("keydown", (event) => this.#key(event), { capture: true });
  }

  /** What follows each message of mine, in the order of doing. */
  get then() {
    return this.boxes.filter((box) => box.checked).map((box) => box.value);
  }

  setBusy(busy) {
    for (const button of this.row.querySelectorAll("button[data-kind]")) button.disabled = busy;
    this.row.toggleAttribute("data-busy", busy);
  }

  /** Say what is being done for `kind`, if it has no message of its own; nothing otherwise. */
  tell(kind, stage) {
    const who = WHO[kind];
    this.doing.hidden = !who;
    this.row.toggleAttribute("data-doing", Boolean(who));
    this.doing.textContent = who ? t("{who}: {stage}", { who, stage: stageWords(stage) }) : "";
    if (who) this.doing.dataset.state = stage.state;
  }

  #ask(kind, words) {
    this.#open(false);
    this.dispatchEvent(new CustomEvent("ask", { detail: { kind, words } }));
  }

  #open(open) {
    this.menu.hidden = !open;
    this.direct.disabled = this.composer.empty || this.row.hasAttribute("data-busy");
    this.after.setAttribute("aria-expanded", String(open));
  }

  #choose() {
    keep("then", this.chat, this.then.length ? this.then : null);
    this.#count();
  }

  #count() {
    const count = this.then.length;
    const badge = this.after.querySelector(".badge");
    badge.textContent = count;
    badge.hidden = !count;
    this.after.setAttribute("aria-label", t("Then, after my message: {what}", { what: this.#followers() }));
  }

  #followers() {
    return this.then.map((kind) => FOLLOWERS[kind]).join(", ") || t("nothing");
  }

  #key(event) {
    if (event.key !== "Escape" || this.menu.hidden) return;
    event.preventDefault();
    event.stopPropagation();
    this.#open(false);
    this.after.focus();
  }
}
