/* The setup panel: title, notes, how it is told. What is changed is sent as soon as the person leaves it; what another
   window changes is shown unless it is being written here. `send(frame)`: whether it is on its way.
   Events: "over" (start over). */

import { t } from "../lib/i18n.js";

const FIELDS = ["title", "user_persona", "author_note", "reference"];
const TOP_N = 5;

export class Setup extends EventTarget {
  #known = null; // what the server has
  #settings = {};
  #unsent = false;

  constructor(send) {
    super();
    this.send = send;
    this.panel = document.getElementById("setup");
    this.form = document.getElementById("setup-form");
    this.kept = document.getElementById("setup-kept");
    this.title = document.getElementById("chat-title");
    this.over = document.getElementById("over");
    this.why = document.getElementById("setup-why");
    this.books = [...this.form.querySelectorAll("[name=books]")];
    this.dials = [...this.form.querySelectorAll("[data-dial]")];
    this.presets = [...this.form.querySelectorAll("[data-preset]")];
    document.getElementById("setup-button").addEventListener("click", () => this.open());
    for (const dialog of [this.panel, this.over]) this.#asDialog(dialog);
    this.panel.addEventListener("close", () => this.#save());
    this.form.addEventListener("submit", (event) => event.preventDefault());
    this.form.addEventListener("change", () => this.#save());
    this.form.addEventListener("input", ({ target }) => this.#turned(target));
    this.form.addEventListener("click", ({ target }) => this.#press(target.closest("button")));
    document.getElementById("over-yes").addEventListener("click", () => {
      this.over.close();
      this.panel.close();
      this.dispatchEvent(new Event("over"));
    });
  }

  open() {
    this.kept.textContent = "";
    this.panel.showModal();
  }

  /** The chat as the server has it. */
  apply({ title, user_persona, author_note, reference, settings, books }) {
    const first = !this.#known;
    this.#known = { title, user_persona, author_note, reference, settings, books };
    if (this.#unsent) return this.#save();
    for (const name of FIELDS) {
      const field = this.form.elements[name];
      if (first || field !== document.activeElement || !this.panel.open) field.value = this.#known[name];
    }
    for (const book of this.books) book.checked = books.includes(book.value);
    this.#settings = { ...settings };
    this.#showSettings();
    this.#showTitle(title);
    return undefined;
  }

  /** The server has what this window sent. */
  confirm() {
    this.kept.textContent = t("Saved");
  }

  refused(sentence) {
    this.#unsent = false;
    this.kept.textContent = sentence;
  }

  #save() {
    const frame = this.#changes();
    if (!Object.keys(frame).length) return;
    this.#unsent = !this.send({ type: "setup", ...frame });
    this.kept.textContent = this.#unsent ? t("Not saved yet: the line is down") : t("Saving…");
  }

  #changes() {
    if (!this.#known) return {};
    const changed = FIELDS.map((name) => [name, this.form.elements[name].value.trim()]);
    const frame = Object.fromEntries(changed.filter(([name, value]) => value !== this.#known[name].trim()));
    if (frame.title === "") {
      delete frame.title;
      this.form.elements.title.value = this.#known.title;
    }
    if (!same(this.#settings, this.#known.settings)) frame.settings = this.#settings;
    const books = this.books.filter((book) => book.checked).map((book) => book.value);
    const known = this.#known.books.filter((id) => this.books.some((book) => book.value === id)); // the others are gone
    if (books.toSorted().join() !== known.toSorted().join()) frame.books = books;
    return frame;
  }

  #press(button) {
    if (button?.dataset.preset) {
      const { top_n } = this.#settings;
      this.#settings = { ...JSON.parse(button.dataset.settings), ...(top_n ? { top_n } : {}) };
    } else if (button?.id === "reference-clear") {
      this.form.elements.reference.value = "";
      this.form.elements.reference.focus();
    } else {
      if (button?.id === "start-over") this.over.showModal();
      return;
    }
    this.#showSettings();
    this.#save();
  }

  #turned(target) {
    if (target === this.why) {
      if (this.why.checked) this.#settings.top_n = TOP_N;
      else delete this.#settings.top_n;
    } else if (target.dataset.dial) {
      this.#settings[target.dataset.dial] = Number(target.value);
    } else {
      return;
    }
    this.#showSettings();
  }

  #showSettings() {
    for (const dial of this.dials) {
      const value = this.#settings[dial.dataset.dial] ?? Number(dial.dataset.usual);
      dial.value = value;
      dial.previousElementSibling.textContent = value;
    }
    this.why.checked = this.#settings.top_n > 0;
    const { top_n: _, ...told } = this.#settings;
    for (const preset of this.presets) {
      preset.setAttribute("aria-pressed", String(same(JSON.parse(preset.dataset.settings), told)));
    }
  }

  #showTitle(title) {
    const { character } = document.getElementById("story").dataset;
    this.title.textContent = title === character ? this.title.dataset.tagline : title;
    document.title = `${title} · inglenook`;
  }

  /** Keys stay inside; a press beside it, or on a button for it, closes it. */
  #asDialog(dialog) {
    dialog.addEventListener("keydown", (event) => event.stopPropagation());
    dialog.addEventListener("click", ({ target }) => {
      if (target === dialog || target.closest("[data-close]")) dialog.close();
    });
  }
}

function same(one, other) {
  const names = new Set([...Object.keys(one), ...Object.keys(other)]);
  return [...names].every((name) => one[name] === other[name]);
}
