/* The re-read cost of an edit or a delete, in words: how much of the story the model must read again (prefill). The number of
   messages is counted on the page at once; tokens and seconds come from the server a moment later, if it knows them. */

import { LOCALE } from "../lib/times.js";
import { t, tn } from "../lib/i18n.js";

const LONG_S = 100;

export class RereadCosts {
  memory = { from: 0 }; // where the model's memory begins

  constructor(story, chat) {
    this.story = story;
    this.chat = chat;
  }

  /** Say what it costs to `act` ("edit" or "delete") on a message: `say(words)` now, and again when more is known. */
  async show(act, message, say) {
    say(this.#sentence(act, { messages: this.#countMessages(act, message) }));
    const known = await this.#fetchCost(message);
    if (known) say(this.#sentence(act, known[act]));
  }

  /** How many messages are read again: those after it that the model remembers, and with an edit itself. */
  #countMessages(act, message) {
    if (!this.#isRemembered(message)) return 0;
    const after = [...this.story.known.values()].filter((one) => one.ordinal > message.ordinal && this.#isRemembered(one));
    return after.length + (act === "edit" ? 1 : 0);
  }

  #isRemembered({ ordinal, pinned }) {
    return pinned || ordinal >= this.memory.from;
  }

  /** What the server says, or null. */
  async #fetchCost({ id }) {
    const answer = await fetch(`/chat/${this.chat}/price?message=${id}`).catch(() => null);
    return answer?.ok ? answer.json() : null;
  }

  #sentence(act, { messages, tokens, seconds }) {
    if (!messages) return act === "edit" ? t("Out of the model’s memory: nothing is read again.") : "";
    const values = { tokens: roundedNumber(tokens ?? 0), time: durationText(seconds ?? 0) };
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

function durationText(seconds) {
  if (seconds > LONG_S) return tn("{n} minute", "{n} minutes", Math.round(seconds / 60));
  return tn("{n} second", "{n} seconds", Math.max(1, Math.round(seconds)));
}

/** Two digits say all that is known. */
function roundedNumber(number) {
  const step = 10 ** Math.max(0, Math.floor(Math.log10(number || 1)) - 1);
  return (Math.round(number / step) * step).toLocaleString(LOCALE);
}
