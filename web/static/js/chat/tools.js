/* The toolbar above the box: Continue, Narrate, Suggest, Status, and the menu of what follows each message of the person.
   It also shows the stage of a turn that has no message in the story.
   Events: "ask" (detail: the kind). */

import { listen } from "../lib/page_scope.js";
import { load, store } from "../lib/storage.js";
import { stageText } from "./stages.js";
import { t } from "../lib/i18n.js";

const FOLLOWERS = { narrate: t("narrate"), status: t("status"), suggest: t("suggest") };
const SUBJECTS = { suggest: t("Your next line"), status: t("The status") };

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
    const kept = load("then", chat) ?? [];
    for (const box of this.boxes) box.checked = kept.includes(box.value);
    this.#updateBadge();
    this.row.addEventListener("click", (event) => {
      const kind = event.target.closest("button[data-kind]")?.dataset.kind;
      if (kind) this.#emitAsk(kind);
    });
    this.after.addEventListener("click", () => this.#toggleMenu(this.menu.hidden));
    this.menu.addEventListener("change", () => this.#saveFollowers());
    listen(document, "pointerdown", (event) => {
      if (!this.menu.contains(event.target) && !this.after.contains(event.target)) this.#toggleMenu(false);
    });
    listen(document, "keydown", (event) => this.#onKey(event), { capture: true });
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
  showStage(kind, stage) {
    const subject = SUBJECTS[kind];
    this.doing.hidden = !subject;
    this.row.toggleAttribute("data-doing", Boolean(subject));
    this.doing.textContent = subject ? t("{who}: {stage}", { who: subject, stage: stageText(stage) }) : "";
    if (subject) this.doing.dataset.state = stage.state;
  }

  #emitAsk(kind) {
    this.#toggleMenu(false);
    this.dispatchEvent(new CustomEvent("ask", { detail: kind }));
  }

  #toggleMenu(open) {
    this.menu.hidden = !open;
    this.after.setAttribute("aria-expanded", String(open));
  }

  #saveFollowers() {
    store("then", this.chat, this.then.length ? this.then : null);
    this.#updateBadge();
  }

  #updateBadge() {
    const count = this.then.length;
    const badge = this.after.querySelector(".badge");
    badge.textContent = count;
    badge.hidden = !count;
    this.after.setAttribute("aria-label", t("Automatically, after my message: {what}", { what: this.#followerNames() }));
  }

  #followerNames() {
    return this.then.map((kind) => FOLLOWERS[kind]).join(", ") || t("nothing");
  }

  #onKey(event) {
    if (event.key !== "Escape" || this.menu.hidden) return;
    event.preventDefault();
    event.stopPropagation();
    this.#toggleMenu(false);
    this.after.focus();
  }
}
