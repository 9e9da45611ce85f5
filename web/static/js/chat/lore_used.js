/* The lore used: which lorebook entries were in the prompt of a reply, in a panel below it.
   lore: [{ name, book, why, key, tokens, new }], see worker/prompt/lore.py. */

import { t, tn } from "../lib/i18n.js";

const REASONS = {
  key: ({ key }) => t("triggered by “{key}”", { key }),
  lore: ({ key }) => t("triggered by another entry, by “{key}”", { key }),
  sticky: () => t("still active from before"),
  always: () => t("needs no keyword"),
  constant: () => t("always active"),
  no_room: () => t("triggered, but there was no room for it"),
  slow: () => t("this pattern took too long and counted as not found"),
};

export class LoreUsed {
  #element = null;

  constructor() {
    this.blank = document.getElementById("added-blank");
  }

  show(element, lore) {
    this.close();
    this.#element = element;
    this.root = this.blank.content.firstElementChild.cloneNode(true);
    this.root.querySelector("ul").append(...lore.map(entryItem));
    this.root.addEventListener("keydown", (event) => this.#onKey(event));
    this.root.querySelector("[data-close]").addEventListener("click", () => this.close());
    element.querySelector(".prose").after(this.root);
    this.root.focus({ preventScroll: true });
    this.root.scrollIntoView({ block: "nearest" });
  }

  close() {
    if (!this.#element) return;
    const inside = this.root.contains(document.activeElement);
    this.root.remove();
    if (inside) this.#element.querySelector('[data-act="menu"]').focus({ preventScroll: true });
    this.#element = null;
  }

  #onKey(event) {
    event.stopPropagation();
    if (event.key === "Escape") this.close();
  }
}

function entryItem(line) {
  const item = document.createElement("li");
  item.dataset.why = line.why;
  const [name, about] = ["b", "small"].map((tag) => document.createElement(tag));
  name.textContent = line.name;
  const price = line.tokens ? tn("{n} token", "{n} tokens", line.tokens) : "";
  const when = line.new === false ? t("there already") : "";
  about.textContent = [REASONS[line.why]?.(line) ?? line.why, line.book, price, when].filter(Boolean).join(" · ");
  item.append(name, about);
  return item;
}
