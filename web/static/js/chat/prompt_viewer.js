/* The viewer of a prompt: what the model read for a reply, segment by segment, with tokens and what was forgotten.
   prompt: see worker/prompt_record.py; null: not known. What it refuses to know: how a prompt is made. */

import { t, tn } from "../lib/i18n.js";

const KINDS = {
  persona: () => t("Who the character is"),
  setting: () => t("You, and what belongs to this story"),
  example: () => t("Example of how the character talks"),
  lore: () => t("Lorebook entry"),
  memory: () => t("Note on what happened before"),
  recall: () => t("Remembered from before"),
  cast: () => t("Who you have become"),
  status: () => t("Status"),
  asked: () => t("Instruction to the narrator"),
  reply: () => t("Here the reply begins"),
  "note:author": () => t("Author’s note"),
  "note:reference": () => t("Reference"),
  "note:length": () => t("Length of the replies"),
  "note:last": () => t("Last instructions of the card"),
};

export class PromptViewer {
  constructor() {
    this.dialog = document.getElementById("prompt");
    this.sum = document.getElementById("prompt-sum");
    this.list = document.getElementById("prompt-segments");
    this.dialog.addEventListener("keydown", (event) => event.stopPropagation());
    this.dialog.addEventListener("click", ({ target }) => {
      if (target === this.dialog || target.closest("[data-close]")) this.dialog.close();
    });
  }

  show(prompt) {
    const total = prompt.segments.reduce((sum, { tokens }) => sum + tokens, 0);
    this.sum.replaceChildren(...summary(prompt, total).map(line));
    this.list.replaceChildren(...prompt.segments.map((segment) => segmentItem(segment, total)));
    this.dialog.showModal();
    this.list.parentElement.scrollTop = 0;
  }
}

function summary({ context, read, reply, forgotten, left_out: leftOut }, total) {
  const lines = [
    t("{total} of {context} tokens of its memory, and room for a reply of {reply}.", { total, context, reply }),
    t("{read} tokens were read anew for this reply, the others were still there.", { read }),
  ];
  if (forgotten.messages) lines.push(tn("{n} message was forgotten.", "{n} messages were forgotten.", forgotten.messages));
  if (forgotten.examples) lines.push(tn("{n} example was forgotten.", "{n} examples were forgotten.", forgotten.examples));
  if (leftOut) lines.push(tn("{n} part is not shown here.", "{n} parts are not shown here.", leftOut));
  return lines;
}

function line(words) {
  const paragraph = document.createElement("p");
  paragraph.textContent = words;
  return paragraph;
}

function segmentItem({ kind, name, ordinal, tokens, text }, total) {
  const item = document.createElement("details");
  const [summaryLine, label, size, bar, words] = ["summary", "b", "span", "span", "pre"].map((tag) => document.createElement(tag));
  item.dataset.testid = "prompt-segment";
  label.textContent = ordinal === undefined ? (KINDS[kind]?.() ?? kind) : `${name} · ${ordinal + 1}`;
  size.textContent = tn("{n} token", "{n} tokens", tokens);
  bar.className = "bar";
  bar.style.setProperty("--full", `${Math.max(1, Math.round((tokens / total) * 100))}%`);
  words.textContent = text;
  summaryLine.append(label, size, bar);
  item.append(summaryLine, words);
  return item;
}
