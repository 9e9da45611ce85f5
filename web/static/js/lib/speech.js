/* Speech synthesis by the browser: reads a text aloud, with the voices of this device only.

   What it does: a voice that is not `localService` is left out, for its texts go to the maker of the browser; a text is
   read in pieces of a few sentences, because browsers end long utterances by themselves. Voice and pace are kept in this
   browser (storage.js), since the voices are its own.
   What it refuses to know: messages, and when something is read. Events: "end" (read to the end, stopped, or failed). */

import { load, store } from "./storage.js";

const MAX_PIECE = 200; // letters
const HAN = /\p{Script=Han}/gu;
const LETTER = /\p{L}/gu;
const SENTENCES = /[^.!?。！？…\n]+[.!?。！？…\n]*["”’」』)]*\s*/gu;
export const PACES = [0.7, 0.85, 1, 1.15, 1.3, 1.6];

const synthesis = () => globalThis.speechSynthesis;
const count = (text, letters) => text.match(letters)?.length ?? 0;

/** "zh" where more than a third of the letters are Han, else "en". */
export const languageOf = (text) => (3 * count(text, HAN) > count(text, LETTER) ? "zh" : "en");

/** The voices of this device for a language. */
export function voicesOf(language) {
  const voices = synthesis()?.getVoices() ?? [];
  return voices.filter((voice) => voice.localService && voice.lang.toLowerCase().replace("_", "-").split("-")[0] === language);
}

/** The voice that was chosen for a language, else the first of this device; undefined if it has none. */
export function voiceFor(language) {
  const voices = voicesOf(language);
  return voices.find((voice) => voice.voiceURI === load("voice", language)) ?? voices.find((voice) => voice.default) ?? voices[0];
}

export const chooseVoice = (language, uri) => store("voice", language, uri);
export const pace = () => (PACES.includes(load("pace", "aloud")) ? load("pace", "aloud") : 1);
export const choosePace = (value) => store("pace", "aloud", value);

/** A text in pieces that end where a sentence does, as far as there are ends. */
export function pieces(text) {
  const found = [""];
  for (const sentence of text.match(SENTENCES) ?? []) {
    for (let at = 0; at < sentence.length; at += MAX_PIECE) {
      const part = sentence.slice(at, at + MAX_PIECE);
      if (found.at(-1).length + part.length > MAX_PIECE) found.push("");
      found[found.length - 1] += part;
    }
  }
  return found.map((piece) => piece.trim()).filter(Boolean);
}

export class Speech extends EventTarget {
  #reading = null; // the pieces of one text that are not read yet

  static get isThere() {
    return Boolean(synthesis());
  }

  /** Read a text instead of whatever is being read. Returns whether this device has a voice for it. */
  read(text) {
    this.stop();
    const voice = voiceFor(languageOf(text));
    const left = pieces(text);
    if (!voice || !left.length) return false;
    this.#reading = left;
    this.#next(left, voice);
    return true;
  }

  stop() {
    if (!this.#reading) return;
    this.#reading = null;
    synthesis().cancel();
    this.dispatchEvent(new Event("end"));
  }

  #next(left, voice) {
    if (this.#reading !== left) return; // another text is read by now
    if (!left.length) {
      this.#reading = null;
      this.dispatchEvent(new Event("end"));
      return;
    }
    const utterance = new SpeechSynthesisUtterance(left.shift());
    [utterance.voice, utterance.lang, utterance.rate] = [voice, voice.lang, pace()];
    utterance.addEventListener("end", () => this.#next(left, voice));
    utterance.addEventListener("error", () => this.#reading === left && this.stop());
    synthesis().speak(utterance);
  }
}
