/* The token probabilities ("why these words"): a reply as a heat map in the place of its text. A click, or the arrow keys,
   show the alternatives of a word. words: [{ text, p, top: [[text, p], ...] }], see worker/token_probabilities.py;
   of a text about which nothing was kept `top` is empty.
   Events: "pick" (detail: { text, message }: the text up to a word, and another word in its place, for the reply to go on
   from, and the message whose words they are). */

import { t } from "../lib/i18n.js";

const LEVELS = 10;
const percent = (p) => (p >= 0.1 || p === 0 ? `${Math.round(p * 100)} %` : `${(p * 100).toFixed(1)} %`);

/** A word as people can see it. Most begin with a blank: that is not worth a sign. */
const visible = (text) => text.replaceAll("\n", "⏎").replace(/^ (?=\S)/, "").replace(/^ +$/, "·") || "·";

export class TokenProbabilities extends EventTarget {
  #element = null;

  constructor() {
    super();
    this.blank = document.getElementById("why-blank");
  }

  /** `message`: whose words these are, if its reply may go on from another word; else null. */
  show(element, words, message = null) {
    this.close();
    this.message = message;
    this.#element = element;
    this.root = this.blank.content.firstElementChild.cloneNode(true);
    this.words = words;
    const list = this.root.querySelector(".words");
    list.append(...words.map(wordElement));
    list.firstElementChild.tabIndex = 0;
    list.addEventListener("click", ({ target }) => this.#select(target.closest(".word")));
    list.addEventListener("focusin", ({ target }) => this.#select(target.closest(".word")));
    this.root.addEventListener("keydown", (event) => this.#onKey(event));
    this.root.querySelector("[data-close]").addEventListener("click", () => this.close());
    element.dataset.mode = "why";
    element.querySelector(".prose").after(this.root);
    list.firstElementChild.focus({ preventScroll: true });
    this.root.scrollIntoView({ block: "nearest" });
  }

  close() {
    if (!this.#element) return;
    const inside = this.root.contains(document.activeElement);
    if (this.#element.dataset.mode === "why") delete this.#element.dataset.mode;
    this.root.remove();
    if (inside) this.#element.querySelector('[data-act="menu"]').focus({ preventScroll: true });
    this.#element = null;
  }

  #select(word) {
    if (!word || word.ariaPressed === "true") return;
    for (const one of word.parentElement.querySelectorAll('[aria-pressed="true"]')) one.ariaPressed = "false";
    for (const one of word.parentElement.querySelectorAll('[tabindex="0"]')) one.tabIndex = -1;
    word.ariaPressed = "true";
    word.tabIndex = 0;
    word.focus({ preventScroll: true });
    const at = [...word.parentElement.children].indexOf(word);
    const pick = this.message ? (other) => this.#pick(at, other) : null;
    this.root.querySelector(".likely").replaceChildren(...alternatives(this.words[at], pick));
  }

  #pick(at, other) {
    const before = this.words.slice(0, at).map(({ text }) => text);
    this.close();
    const detail = { text: before.join("") + other, message: this.message };
    this.dispatchEvent(new CustomEvent("pick", { detail }));
  }

  #onKey(event) {
    event.stopPropagation();
    const word = event.target.closest(".word");
    const next = { ArrowRight: word?.nextElementSibling, ArrowLeft: word?.previousElementSibling }[event.key];
    if (event.key === "Escape") this.close();
    else if (next) next.focus();
    else if (!word || !event.key.startsWith("Arrow")) return;
    event.preventDefault();
  }
}

function wordElement({ text, p }) {
  const word = document.createElement("span");
  word.className = "word";
  word.role = "button";
  word.tabIndex = -1;
  word.ariaPressed = "false";
  word.textContent = text;
  if (!text.trim()) word.ariaLabel = text.includes("\n") ? t("a new line") : t("a blank");
  word.dataset.level = p === null ? "none" : Math.min(LEVELS - 1, Math.floor(p * LEVELS));
  return word;
}

/** What could have stood in the place of a word, the likeliest first; with `pick`, buttons to go on from there. */
function alternatives({ text, p, top }, pick) {
  if (!top.length) return [unknownHint()];
  const list = document.createElement("ol");
  for (const [other, chance] of top) {
    const isChosen = other === text;
    if (chance > 0) list.append(alternativeItem(other, chance, isChosen, !isChosen && isWhole(other) && pick));
  }
  if (!top.some(([other]) => other === text)) list.append(alternativeItem(text, p, true));
  const hint = document.createElement("p");
  hint.className = "hint";
  hint.textContent = t("Choose another one, and the reply is told anew from there.");
  return pick ? [list, hint] : [list];
}

/** Whether this is text, not a part of a character. */
const isWhole = (text) => text !== "" && !text.includes("\ufffd");

/** Of a text that the reply began with before it went on, nothing may be known. */
function unknownHint() {
  const hint = document.createElement("p");
  hint.className = "hint";
  hint.textContent = t("No probabilities were kept for these words.");
  return hint;
}

function alternativeItem(text, p, chosen, pick = null) {
  const item = document.createElement("li");
  item.toggleAttribute("data-chosen", chosen);
  const place = pick ? document.createElement("button") : item;
  const [word, chance, bar] = ["q", "b", "span"].map((name) => document.createElement(name));
  word.textContent = visible(text);
  chance.textContent = p === null ? t("less than these") : percent(p);
  bar.className = "bar";
  bar.style.setProperty("--full", `${Math.round((p ?? 0) * 100)}%`);
  place.append(word, chance, bar);
  if (!pick) return item;
  const goOn = t("Go on from here with");
  place.type = "button";
  place.dataset.testid = "pick";
  place.setAttribute("aria-label", `${goOn} “${visible(text)}”, ${chance.textContent}`);
  place.addEventListener("click", () => pick(text));
  item.append(place);
  return item;
}
