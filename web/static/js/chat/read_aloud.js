/* Reading aloud on the chat page: a message from its menu, or each new reply if that was switched on in this browser. The
   button that stops it is there while something is read; a new message of the person stops it, too. */

import { listen } from "../lib/page_scope.js";
import { Speech } from "../lib/speech.js";
import { load, store } from "../lib/storage.js";
import { isFromStoryteller } from "./message.js";
import { t } from "../lib/i18n.js";

export class ReadAloud {
  #message = null; // the id of what is being read

  /** `say(words)`: tell the person why nothing is heard. */
  constructor(story, say) {
    this.story = story;
    this.say = say;
    this.speech = new Speech();
    this.hush = document.getElementById("hush");
    this.each = document.getElementById("aloud-each");
    this.each.closest("label").hidden = !Speech.isThere;
    this.each.checked = load("aloud", "each") === true;
    this.each.addEventListener("change", () => store("aloud", "each", this.each.checked || null));
    this.hush.addEventListener("click", () => this.speech.stop());
    this.speech.addEventListener("end", () => this.#show(null));
    listen(window, "pagehide", () => this.speech.stop()); // a browser reads on otherwise
  }

  /** What the menu of a message offers: words, or false. */
  offer({ id }) {
    if (!Speech.isThere) return false;
    return id === this.#message ? t("Stop reading aloud") : t("Read aloud");
  }

  /** Read a message, or stop if it is being read. */
  toggle({ id }) {
    if (id === this.#message) this.speech.stop();
    else if (!this.#read(id)) this.say(t("This device has no voice of its own for this language. Its settings may offer some, under speech."));
  }

  /** Messages have just come to their end. */
  replies(messages) {
    const reply = messages.findLast(isFromStoryteller);
    if (reply && this.each.checked && !document.hidden) this.#read(reply.id);
  }

  stop() {
    this.speech.stop();
  }

  #read(id) {
    const prose = this.story.elementOf(id)?.querySelector(".prose");
    const heard = Boolean(prose) && this.speech.read(prose.innerText);
    if (heard) this.#show(id);
    return heard;
  }

  #show(id) {
    this.#message = id;
    this.hush.hidden = !id;
  }
}
