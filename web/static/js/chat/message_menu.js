/* The context menu of a message: one menu for all, placed beside the button that opened it. Arrow keys, Home and End move
   the focus, Escape and Tab close. Events: "choose" (detail: { act, message }). */

import { listen } from "../lib/page_scope.js";

export class MessageMenu extends EventTarget {
  #message = null;
  #button = null;
  #top = 0; // where the button was

  constructor() {
    super();
    this.root = document.getElementById("message-menu");
    this.cost = document.getElementById("delete-price");
    this.items = [...this.root.querySelectorAll("[role=menuitem]")];
    this.root.addEventListener("click", (event) => this.#choose(event.target.closest("[data-do]")));
    this.root.addEventListener("keydown", (event) => this.#onKey(event));
    this.root.addEventListener("focusout", ({ relatedTarget }) => {
      if (relatedTarget && !this.root.contains(relatedTarget)) this.close(false);
    });
    listen(document, "pointerdown", ({ target }) => {
      if (!this.root.contains(target) && !this.#button?.contains(target)) this.close(false);
    });
    document.getElementById("main").addEventListener("scroll", () => this.#closeWhenScrolled(), { passive: true });
    listen(window, "resize", () => this.close());
  }

  /** `offers`: act -> false (not there), "off" (there, not now), a text (its words), or true. */
  open(message, button, offers) {
    if (this.#button === button) return this.close();
    this.close(false);
    [this.#message, this.#button] = [message, button];
    this.cost.textContent = "";
    for (const item of this.items) {
      const offer = offers[item.dataset.do];
      item.hidden = offer === false;
      item.disabled = offer === "off";
      if (typeof offer === "string" && offer !== "off") item.querySelector("span").textContent = offer;
    }
    this.root.hidden = false;
    this.#place(button.getBoundingClientRect());
    button.setAttribute("aria-expanded", "true");
    this.#enabledItems[0]?.focus({ preventScroll: true });
    return undefined;
  }

  /** What deleting this message costs, in words; too late when the menu is closed. */
  showCost(message, words) {
    if (!this.#button || this.#message !== message) return;
    this.cost.textContent = words;
    this.#place(this.#button.getBoundingClientRect());
  }

  close(giveFocusBack = true) {
    const button = this.#button;
    if (!button) return;
    const inside = this.root.contains(document.activeElement);
    this.#button = null;
    this.root.hidden = true;
    button.setAttribute("aria-expanded", "false");
    if (giveFocusBack && inside) button.focus({ preventScroll: true });
  }

  get #enabledItems() {
    return this.items.filter((item) => !item.hidden && !item.disabled);
  }

  #choose(item) {
    if (!item || item.disabled) return;
    this.close();
    this.dispatchEvent(new CustomEvent("choose", { detail: { act: item.dataset.do, message: this.#message } }));
  }

  /** Below the button if there is room, else above it; never beyond an edge of the window. */
  #place({ top, bottom, right }) {
    this.#top = top;
    const { offsetWidth: width, offsetHeight: height } = this.root;
    const below = bottom + height + 8 < window.innerHeight;
    this.root.style.top = `${Math.max(8, below ? bottom : top - height)}px`;
    this.root.style.left = `${Math.max(8, Math.min(right - width, window.innerWidth - width - 8))}px`;
  }

  /** The story was scrolled: a menu does not stay where its button is no longer. */
  #closeWhenScrolled() {
    if (this.#button && Math.abs(this.#button.getBoundingClientRect().top - this.#top) > 4) this.close();
  }

  #onKey(event) {
    event.stopPropagation();
    const items = this.#enabledItems;
    const at = items.indexOf(document.activeElement);
    const next = { ArrowDown: at + 1, ArrowUp: at - 1, Home: 0, End: -1 }[event.key];
    if (next !== undefined) items.at(next % items.length).focus();
    else if (event.key === "Escape" || event.key === "Tab") this.close();
    else return;
    event.preventDefault();
  }
}
