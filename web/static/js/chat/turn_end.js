/* What the end of a turn brings besides its messages: the suggestion in the box, the status in its panel, the words for
   those who listen, and the sign for those who look elsewhere (lib/notifications.js). Heard as it happens, or read in a snapshot when
   the line was down just then. */

import { Done } from "../lib/notifications.js";
import { spoken } from "./message.js";
import { t } from "../lib/i18n.js";

export class Ended {
  constructor(story, suggestion, statusPanel) {
    this.story = story;
    this.suggestion = suggestion;
    this.statusPanel = statusPanel;
    this.done = new Done(story.root, story.root.dataset.chat);
    this.announcer = document.getElementById("announcer");
  }

  /** The last event of a turn has come; its messages are on the page. */
  heard({ id, kind }, { type, messages = [], suggestion }) {
    this.#show(id, kind, messages, suggestion);
    this.done.tell(id, type);
  }

  /** It ended while nothing could be heard; a snapshot says so, with the newest suggestion of the chat. */
  missed({ turn: id, kind, state, messages }, suggested) {
    const written = messages.map((message) => this.story.known.get(message)).filter(Boolean);
    this.#show(id, kind, written, suggested?.turn === id ? suggested.text : null);
    this.done.tellLate(id, state);
  }

  #show(id, kind, messages, suggested) {
    const inBox = this.suggestion.finish(id, suggested);
    this.statusPanel.show(this.story.status);
    if (kind === "status" && this.story.status) this.statusPanel.open(true);
    const said = [...messages.map(spoken), inBox ? t("A suggestion is in the box.") : ""];
    this.announcer.textContent = said.filter(Boolean).join("\n");
  }
}
