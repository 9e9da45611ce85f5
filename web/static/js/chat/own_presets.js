/* The person's own presets in the setup panel: use one, remove one (asked once more), keep the settings of now under a name.
   `send(frame)`: whether the frame is on its way; `settings()`: those of now. Events: "use" (detail: the settings).
   What it refuses to know: what a setting means. */

import { t } from "../lib/i18n.js";

export class OwnPresets extends EventTarget {
  #presets = [];
  #isInUse = () => false;

  constructor(send, settings) {
    super();
    this.send = send;
    this.settings = settings;
    this.list = document.getElementById("own-presets");
    this.name = document.getElementById("preset-name");
    this.says = document.getElementById("preset-says");
    this.blank = document.getElementById("own-preset-blank");
    this.#presets = JSON.parse(this.list.dataset.presets);
    this.list.addEventListener("click", ({ target }) => this.#onClick(target.closest("button")));
    this.list.addEventListener("focusout", ({ target }) => this.#calm(target));
    this.name.addEventListener("keydown", (event) => event.key === "Enter" && !event.isComposing && this.#save(event));
    document.getElementById("preset-save").addEventListener("click", (event) => this.#save(event));
  }

  /** Show them; `isInUse(settings)`: whether these are the settings of now. */
  show(isInUse) {
    this.#isInUse = isInUse;
    for (const element of this.list.children) {
      const preset = this.#presets.find(({ id }) => id === element.dataset.id);
      if (preset) element.querySelector(".use").setAttribute("aria-pressed", String(isInUse(preset.settings)));
    }
    if (this.list.children.length !== this.#presets.length) this.#draw();
  }

  /** The answer to `save_preset` and `delete_preset`. */
  replace({ presets }) {
    const saved = presets.some(({ name }) => name === this.name.value.trim().replace(/\s+/g, " "));
    if (saved) this.name.value = "";
    this.says.textContent = saved ? t("Saved") : "";
    this.#presets = presets;
    this.#draw();
  }

  refused(sentence) {
    this.says.textContent = sentence;
  }

  #draw() {
    const items = this.#presets.map(({ id, name, settings }) => {
      const item = this.blank.content.firstElementChild.cloneNode(true);
      item.dataset.id = id;
      item.querySelector(".use").textContent = name;
      item.querySelector(".use").setAttribute("aria-pressed", String(this.#isInUse(settings)));
      label(item.querySelector(".remove"), t("Remove this preset"), name);
      return item;
    });
    const inside = this.list.contains(document.activeElement);
    this.list.replaceChildren(...items);
    if (inside) this.name.focus();
  }

  #onClick(button) {
    const preset = this.#presets.find(({ id }) => id === button?.closest("li").dataset.id);
    if (!preset) return;
    if (button.classList.contains("use")) this.dispatchEvent(new CustomEvent("use", { detail: preset.settings }));
    else if (button.dataset.sure) this.#send({ type: "delete_preset", preset: preset.id });
    else {
      button.dataset.sure = "yes";
      button.textContent = t("Remove?");
      label(button, t("Remove?"), preset.name);
    }
  }

  #calm(button) {
    if (!button.dataset.sure) return;
    delete button.dataset.sure;
    button.textContent = "×";
    label(button, t("Remove this preset"), button.previousElementSibling.textContent);
  }

  #save(event) {
    event.preventDefault();
    const name = this.name.value.trim();
    if (name) this.#send({ type: "save_preset", name, settings: this.settings() });
    else this.says.textContent = t("Give it a name first.");
  }

  #send(frame) {
    this.says.textContent = this.send(frame) ? "" : t("No connection: try again when it is back.");
  }
}

/** What a button does to which preset, for who does not see it. */
function label(button, words, name) {
  button.setAttribute("aria-label", `${words}: ${name}`);
}
