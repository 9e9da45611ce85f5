/* The setup panel: title, notes, lorebooks, sampler settings. Autosave: a change is sent when a field is left. A change of
   another window is shown unless the field is being edited here. `send(frame)`: whether the frame is on its way.
   Events: "over" (start over). To add a sampler dial: web/stories/sampler_dials.py; the panel shows every [data-dial]. */

import { t } from "../lib/i18n.js";

const FIELDS = ["title", "user_persona", "author_note", "reference"];
const TOP_N = 5;

export class SetupPanel extends EventTarget {
  #saved = null; // what the server has
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
    this.keepProbabilities = document.getElementById("setup-why");
    this.books = [...this.form.querySelectorAll("[name=books]")];
    this.dials = [...this.form.querySelectorAll("[data-dial]")];
    this.presets = [...this.form.querySelectorAll("[data-preset]")];
    document.getElementById("setup-button").addEventListener("click", () => this.open());
    for (const dialog of [this.panel, this.over]) this.#prepareDialog(dialog);
    this.panel.addEventListener("close", () => this.#save());
    this.form.addEventListener("submit", (event) => event.preventDefault());
    this.form.addEventListener("change", () => this.#save());
    this.form.addEventListener("input", ({ target }) => this.#onDial(target));
    this.form.addEventListener("click", ({ target }) => this.#onButton(target.closest("button")));
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
    const first = !this.#saved;
    this.#saved = { title, user_persona, author_note, reference, settings, books };
    if (this.#unsent) return this.#save();
    for (const name of FIELDS) {
      const field = this.form.elements[name];
      if (first || field !== document.activeElement || !this.panel.open) field.value = this.#saved[name];
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
    const frame = this.#changedFields();
    if (!Object.keys(frame).length) return;
    this.#unsent = !this.send({ type: "setup", ...frame });
    this.kept.textContent = this.#unsent ? t("Not saved yet: no connection") : t("Saving…");
  }

  #changedFields() {
    if (!this.#saved) return {};
    const changed = FIELDS.map((name) => [name, this.form.elements[name].value.trim()]);
    const frame = Object.fromEntries(changed.filter(([name, value]) => value !== this.#saved[name].trim()));
    if (frame.title === "") {
      delete frame.title;
      this.form.elements.title.value = this.#saved.title;
    }
    if (!sameSettings(this.#settings, this.#saved.settings)) frame.settings = this.#settings;
    const books = this.books.filter((book) => book.checked).map((book) => book.value);
    const known = this.#saved.books.filter((id) => this.books.some((book) => book.value === id)); // the others are gone
    if (books.toSorted().join() !== known.toSorted().join()) frame.books = books;
    return frame;
  }

  #onButton(button) {
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

  #onDial(target) {
    if (target === this.keepProbabilities) {
      if (this.keepProbabilities.checked) this.#settings.top_n = TOP_N;
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
    this.keepProbabilities.checked = this.#settings.top_n > 0;
    const { top_n: _, ...told } = this.#settings;
    for (const preset of this.presets) {
      preset.setAttribute("aria-pressed", String(sameSettings(JSON.parse(preset.dataset.settings), told)));
    }
  }

  #showTitle(title) {
    const { character } = document.getElementById("story").dataset;
    this.title.textContent = title === character ? this.title.dataset.tagline : title;
    document.title = `${title} · inglenook`;
  }

  /** Keys stay inside; a press beside it, or on a button for it, closes it. */
  #prepareDialog(dialog) {
    dialog.addEventListener("keydown", (event) => event.stopPropagation());
    dialog.addEventListener("click", ({ target }) => {
      if (target === dialog || target.closest("[data-close]")) dialog.close();
    });
  }
}

function sameSettings(one, other) {
  const names = new Set([...Object.keys(one), ...Object.keys(other)]);
  return [...names].every((name) => one[name] === other[name]);
}
