/* The setup panel: title, notes, lorebooks, sampler settings. Autosave: a change is sent when a field is left. A change of
   another window is shown unless the field is being edited here. `send(frame)`: whether the frame is on its way.
   Events: "over" (start over). How a story is told: sampler_settings.js. */

import { SamplerSettings } from "./sampler_settings.js";
import { t } from "../lib/i18n.js";

const FIELDS = ["title", "user_name", "user_persona", "author_note", "reference"];
const BESIDE = matchMedia("(min-width: 80rem)"); // there is room for the panel beside the story

export class SetupPanel extends EventTarget {
  #saved = null; // what the server has
  #unsent = false;

  constructor(send, chat) {
    super();
    this.send = send;
    this.chat = chat;
    this.panel = document.getElementById("setup");
    this.form = document.getElementById("setup-form");
    this.kept = document.getElementById("setup-kept");
    this.title = document.getElementById("chat-title");
    this.over = document.getElementById("over");
    this.books = [...this.form.querySelectorAll("[name=books]")];
    this.sampler = new SamplerSettings(this.form, send);
    this.sampler.addEventListener("change", () => this.#save());
    document.getElementById("setup-button").addEventListener("click", () => this.open());
    for (const dialog of [this.panel, this.over]) this.#prepareDialog(dialog);
    this.panel.addEventListener("close", () => this.#save());
    this.form.addEventListener("submit", (event) => event.preventDefault());
    this.form.addEventListener("change", ({ target }) => (target.id === "setup-persona" ? this.#becomePersona(target) : this.#save()));
    this.form.addEventListener("click", ({ target }) => this.#onButton(target.closest("button")));
    document.getElementById("over-yes").addEventListener("click", () => {
      this.over.close();
      this.panel.close();
      this.dispatchEvent(new Event("over"));
    });
  }

  open() {
    this.kept.textContent = "";
    if (this.panel.open) return this.panel.close();
    if (BESIDE.matches) this.panel.show(); // a drawer: the story stays in reach
    else this.panel.showModal();
    return undefined;
  }

  /** The chat as the server has it. */
  apply({ type, title, user_name, user_persona, author_note, reference, settings, books }) {
    if (type !== "setup") this.sampler.notSent();
    const before = this.#saved;
    this.#saved = { title, user_name, user_persona, author_note, reference, settings, books };
    if (this.#unsent) return this.#save();
    for (const name of FIELDS) this.#show(name, before?.[name]);
    for (const book of this.books) book.checked = books.includes(book.value);
    this.sampler.apply(settings);
    if (this.sampler.isTouched) this.#save();
    document.getElementById("story").dataset.user = user_name;
    this.#showTitle(title);
    return undefined;
  }

  /** The chat has another title: given by the model, or in another window. */
  applyTitle(title) {
    if (!this.#saved) return; // it comes with the snapshot
    const before = this.#saved.title;
    this.#saved.title = title;
    this.#show("title", before);
    this.#showTitle(title);
  }

  /** The story makes way for another one: what is in the fields is sent. */
  keep() {
    this.#save();
  }

  /** The server has what this window sent. */
  confirm() {
    this.kept.textContent = t("Saved");
  }

  refused(sentence) {
    this.#unsent = false;
    this.sampler.notSent(true);
    this.kept.textContent = sentence;
  }

  /** Fill a field, unless it is being edited: it has the focus and is not as it was `before`. */
  #show(name, before) {
    const field = this.form.elements[name];
    const focused = field === document.activeElement && this.panel.open;
    if (!focused || before === undefined || field.value.trim() === before.trim()) field.value = this.#saved[name];
  }

  #save() {
    const frame = this.#changedFields();
    if (!Object.keys(frame).length) return;
    this.#unsent = !this.send({ type: "setup", chat: this.chat, ...frame });
    if (frame.settings && !this.#unsent) this.sampler.sent();
    this.kept.textContent = this.#unsent ? t("Not saved yet: no connection") : t("Saving…");
  }

  /** Take over the name and the description of a persona; the answer fills the fields. */
  #becomePersona(choice) {
    const persona = choice.value;
    choice.value = "";
    if (!persona) return;
    const sent = this.send({ type: "setup", chat: this.chat, persona });
    this.kept.textContent = sent ? t("Saving…") : t("Not saved yet: no connection");
  }

  #changedFields() {
    if (!this.#saved) return {};
    const changed = FIELDS.map((name) => [name, this.form.elements[name].value.trim()]);
    const frame = Object.fromEntries(changed.filter(([name, value]) => value !== this.#saved[name].trim()));
    for (const name of ["title", "user_name"]) {
      if (frame[name] !== "") continue;
      delete frame[name];
      this.form.elements[name].value = this.#saved[name];
    }
    if (this.sampler.differsFrom(this.#saved.settings)) frame.settings = this.sampler.value;
    const books = this.books.filter((book) => book.checked).map((book) => book.value);
    const known = this.#saved.books.filter((id) => this.books.some((book) => book.value === id)); // the others are gone
    if (books.toSorted().join() !== known.toSorted().join()) frame.books = books;
    return frame;
  }

  #onButton(button) {
    if (button?.id === "start-over") this.over.showModal();
    if (button?.id !== "reference-clear") return;
    this.form.elements.reference.value = "";
    this.form.elements.reference.focus();
    this.#save();
  }

  #showTitle(title) {
    const { character } = document.getElementById("story").dataset;
    this.title.textContent = title === character ? this.title.dataset.tagline : title;
    document.title = `${title} · inglenook`;
  }

  /** Keys stay inside; a press beside it, or on a button for it, closes it. */
  #prepareDialog(dialog) {
    dialog.addEventListener("keydown", (event) => {
      event.stopPropagation();
      if (event.key === "Escape" && !dialog.matches(":modal")) dialog.close();
    });
    dialog.addEventListener("click", ({ target }) => {
      if (target === dialog || target.closest("[data-close]")) dialog.close();
    });
  }
}
