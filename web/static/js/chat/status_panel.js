/* The status panel: the newest status of the chat, as a button in the page's head and as a card. */

import { listen } from "../lib/page_scope.js";
import { briefValues, factList } from "../lib/fact_list.js";
import { load, store } from "../lib/storage.js";
import { t } from "../lib/i18n.js";

const WIDE = matchMedia("(min-width: 76rem)"); // beside the story there is room for the card

export class StatusPanel {
  constructor(chat) {
    this.chat = chat;
    this.button = document.getElementById("status-button");
    this.brief = this.button.querySelector(".first");
    this.rest = this.button.querySelector(".others");
    this.card = document.getElementById("status-card");
    this.fields = document.getElementById("status-fields");
    this.button.addEventListener("click", () => this.open(this.card.hidden, true));
    document.getElementById("status-close").addEventListener("click", () => {
      this.open(false, true);
      this.button.focus();
    });
    listen(document, "pointerdown", ({ target }) => {
      if (!WIDE.matches && !this.card.contains(target) && !this.button.contains(target)) this.open(false);
    });
  }

  /** Show this status, or that there is none. */
  show(status) {
    const fresh = this.button.hidden;
    this.button.hidden = !status;
    if (!status) return this.open(false);
    const [first = t("Status"), ...others] = briefValues(status);
    this.brief.textContent = first;
    this.rest.textContent = others.map((words) => ` · ${words}`).join("");
    this.fields.replaceChildren(factList(status));
    if (fresh) this.open(WIDE.matches && load("status", this.chat) !== "closed");
    return undefined;
  }

  /** `remember`: the person did it, so it is so next time too. */
  open(open, remember = false) {
    this.card.hidden = !open;
    this.button.setAttribute("aria-expanded", String(open));
    if (remember) store("status", this.chat, open ? null : "closed");
  }
}
