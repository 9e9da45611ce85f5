/* The part of the setup panel that says how a story is told: presets, own presets, length of replies, sampler dials, seed,
   texts at which a reply ends, and whether probabilities are kept.
   Events: "change" (of `value`, shown already; `detail.now`: a button was pressed, so it is to be saved at once).
   `send(frame)`: whether the frame is on its way. What it refuses to know: when settings are saved (setup_panel.js). */

import { OwnPresets } from "./own_presets.js";

const TOP_N = 5;
const STAYS = ["top_n", "reply_tokens", "stop", "seed"]; // what a built-in preset leaves as it is

export class SamplerSettings extends EventTarget {
  #settings = {};
  #touched = false; // changed here and not sent yet
  #awaited = null; // what was sent last, until the server has it

  constructor(form, send) {
    super();
    this.keepProbabilities = document.getElementById("setup-why");
    this.dials = [...form.querySelectorAll("[data-dial]")];
    this.presets = [...form.querySelectorAll("[data-preset]")];
    this.lengths = [...form.querySelectorAll("[name=length]")];
    this.tokens = document.getElementById("reply-tokens");
    this.seed = document.getElementById("seed");
    this.stop = document.getElementById("stop");
    this.own = new OwnPresets(send, () => this.#settings);
    this.own.addEventListener("use", ({ detail }) => this.#use(detail, ["top_n"]));
    form.addEventListener("input", ({ target }) => this.#onInput(target));
    form.addEventListener("click", ({ target }) => this.#onPreset(target.closest("[data-preset]")));
  }

  /** The settings by name, as the server keeps them. */
  get value() {
    return this.#settings;
  }

  /** The settings as the server has them; older ones than those of this window are on their way out. */
  apply(settings) {
    if (this.#touched || (this.#awaited && !sameSettings(settings, this.#awaited))) return;
    this.#awaited = null;
    this.#settings = { ...settings };
    this.#show();
  }

  get isTouched() {
    return this.#touched;
  }

  differsFrom(settings) {
    return !sameSettings(this.#settings, this.#awaited ?? settings);
  }

  /** They are on their way to the server. */
  sent() {
    this.#touched = false;
    this.#awaited = { ...this.#settings };
  }

  /** What was sent may not have arrived. `refused`: it has, and is not to be sent again. */
  notSent(refused = false) {
    this.#touched = !refused && (this.#touched || this.#awaited !== null);
    this.#awaited = null;
  }

  #onPreset(button) {
    if (button) this.#use(JSON.parse(button.dataset.settings), STAYS);
  }

  /** Take over settings, but leave those named in `staying` as they are. */
  #use(settings, staying) {
    const kept = Object.entries(this.#settings).filter(([name]) => staying.includes(name));
    this.#settings = { ...settings, ...Object.fromEntries(kept) };
    this.#touched = true;
    this.#show();
    this.dispatchEvent(new CustomEvent("change", { detail: { now: true } }));
  }

  #onInput(target) {
    if (target === this.keepProbabilities) this.#set("top_n", target.checked ? TOP_N : undefined);
    else if (target.dataset.dial) this.#set(target.dataset.dial, Number(target.value));
    else if (target === this.seed) this.#set("seed", wholeIn(target));
    else if (target === this.stop) this.#set("stop", stopTexts(target));
    else if (target === this.tokens) this.#set("reply_tokens", wholeIn(target) ?? this.#settings.reply_tokens);
    else if (target.name === "length") this.#chooseLength(target);
    else return;
    this.#touched = true;
    this.#show();
  }

  #chooseLength({ value }) {
    if (value === "own") this.tokens.focus();
    this.#set("reply_tokens", value === "own" ? Number(this.tokens.value) : Number(value) || undefined);
    this.tokens.dataset.own = value === "own" ? "yes" : "";
  }

  #set(name, value) {
    if (value === undefined) delete this.#settings[name];
    else this.#settings[name] = value;
  }

  #show() {
    for (const dial of this.dials) {
      const value = this.#settings[dial.dataset.dial] ?? Number(dial.dataset.usual);
      dial.value = value;
      dial.previousElementSibling.textContent = value;
    }
    this.keepProbabilities.checked = this.#settings.top_n > 0;
    this.#showLength();
    if (this.seed !== document.activeElement) this.seed.value = this.#settings.seed ?? "";
    if (this.stop !== document.activeElement) this.stop.value = (this.#settings.stop ?? []).map(asLine).join("\n");
    for (const preset of this.presets) {
      const same = sameSettings(JSON.parse(preset.dataset.settings), without(this.#settings, STAYS));
      preset.setAttribute("aria-pressed", String(same));
    }
    this.own.show((settings) => sameSettings(settings, without(this.#settings, ["top_n"])));
  }

  #showLength() {
    const { reply_tokens: wanted } = this.#settings;
    const known = this.lengths.find(({ value }) => value === String(wanted ?? ""));
    const own = this.tokens.dataset.own === "yes" || !known;
    const chosen = own && wanted ? this.lengths.find(({ value }) => value === "own") : known;
    chosen.checked = true;
    this.tokens.parentElement.hidden = chosen.value !== "own";
    if (wanted && this.tokens !== document.activeElement) this.tokens.value = wanted;
  }
}

/** The whole number in a field; none where it is empty or out of its range. */
function wholeIn(field) {
  return field.value !== "" && field.checkValidity() ? Number(field.value) : undefined;
}

/** The lines of a field, at most as many and as long as the server takes; `\n` stands for the end of a line. */
function stopTexts({ value, dataset: { most, letters } }) {
  const lines = value.split("\n").filter((line) => line.trim());
  const texts = lines.slice(0, Number(most)).map((line) => line.replaceAll("\\n", "\n").slice(0, Number(letters)));
  return texts.length ? texts : undefined;
}

const asLine = (text) => text.replaceAll("\n", "\\n");

function without(settings, names) {
  return Object.fromEntries(Object.entries(settings).filter(([name]) => !names.includes(name)));
}

function sameSettings(one, other) {
  const names = new Set([...Object.keys(one), ...Object.keys(other)]);
  return [...names].every((name) => JSON.stringify(one[name]) === JSON.stringify(other[name]));
}
