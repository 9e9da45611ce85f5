/* What an edit or a delete costs, in words: how much of the story the model reads again. What is on the page is counted
   at once; how many tokens and seconds that is, the server tells a moment later, as far as anybody knows. */

import { LOCALE } from "../lib/times.js";
import { t, tn } from "../lib/i18n.js";

const LONG_S = 100;

export class Prices {
  memory = { from: 0 }; // where the model's memory begins

  constructor(story, chat) {
    this.story = story;
    this.chat = chat;
  }

  /** Say what it costs to `act` ("edit" or "delete") on a message: `say(words)` now, and again when more is known. */
  async tell(act, message, say) {
    say(this.#words(act, { messages: this.#count(act, message) }));
    const known = await this.#ask(message);
    if (known) say(this.#words(act, known[act]));
  }

  /** How many messages are read again: those after it that the model remembers, and with an edit itself. */
  #count(act, message) {
    if (!this.#remembers(message)) return 0;
    const after = [...this.story.known.values()].filter((one) => one.ordinal > message.ordinal && this.#remembers(one));
    return after.length + (act === "edit" ? 1 : 0);
  }

  #remembers({ ordinal, pinned }) {
    return pinned || ordinal >= this.memory.from;
  }

  /** What the server says, or null. */
  async #ask({ id }) {
    const answer = await fetch(`/chat/${this.chat}/price?message=${id}`).catch(() => null);
    return answer?.ok ? answer.json() : null;
  }

  #words(act, { messages, tokens, seconds }) {
    if (!messages) return act === "edit" ? t("Out of the model’s memory: nothing is read again.") : "";
    const values = { tokens: about(tokens ?? 0), time: timeWords(seconds ?? 0) };
    if (!tokens) {
      return tn("The model will read the last message again.", "The model will read the last {n} messages again.", messages);
    }
    return seconds === null
      ? tn(
          "The model will read the last message again: about {tokens} tokens.",
          "The model will read the last {n} messages again: about {tokens} tokens.",
          messages,
          values,
        )
      : tn(
          "The model will read the last message again: about {tokens} tokens, {time}.",
          "The model will read the last {n} messages again: about {tokens} tokens, {time}.",
          messages,
          values,
        );
  }
}

function timeWords(seconds) {
  if (seconds > LONG_S) return tn("{n} minute", "{n} minutes", Math.round(seconds / 60));
  return tn("{n} second", "{n} seconds", Math.max(1, Math.round(seconds)));
}

/** Two digits say all that is known. */
function about(number) {
  const step = 10 ** Math.max(0, Math.floor(Math.log10(number || 1)) - 1);
  return (Math.round(number / step) * step).toLocaleString(LOCALE);
}
