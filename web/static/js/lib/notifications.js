/* Tells a person who looks elsewhere that a reply is there: by a notification while the page is out of sight, by a soft
   sound; each only for who has asked for it in the settings. It says who has written, never what: others may see it.
   A page that could not hear the end tells it when it is back, unless another window of this browser has done so. */

import { Chime } from "./sound.js";
import { keep, recall } from "./storage.js";
import { t } from "./i18n.js";

export class Done {
  #shown = null;

  /** `story`: the element that knows what was asked for (data-notify, data-sound). */
  constructor(story, chat) {
    this.story = story;
    this.chat = chat;
    this.chime = "sound" in story.dataset ? new Chime() : null;
    document.addEventListener("visibilitychange", () => document.hidden || this.#shown?.close());
  }

  /** A turn has ended as `state`: "done", "failed" or "cancelled". */
  tell(turn, state) {
    keep("told", this.chat, turn);
    if (state === "cancelled") return;
    const words = state === "failed" ? t("The reply could not be written.") : t("A reply is there.");
    this.chime?.play();
    if ("notify" in this.story.dataset && document.hidden) this.#notify(words);
  }

  /** It ended while this page could not hear it. */
  tellLate(turn, state) {
    if (turn !== recall("told", this.chat)) this.tell(turn, state);
  }

  #notify(body) {
    if (globalThis.Notification?.permission !== "granted") return;
    const icon = document.querySelector("link[rel=icon]").href;
    this.#shown = new Notification(this.story.dataset.character, { body, icon, tag: this.chat, silent: true });
    this.#shown.addEventListener("click", () => {
      window.focus();
      this.#shown.close();
    });
  }
}
