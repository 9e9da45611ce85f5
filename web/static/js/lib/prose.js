/* The renderer of story text while it streams: *actions* in italics (also while still unclosed), "speech" in its own colour.
   XSS-safe: only textContent and element building, never innerHTML. The twin of web/rendering/prose.py, which renders
   finished messages; change both together (tests/browser/test_prose_twins.py). `spans` is pure. */

import { CLOSE, OPEN, repairEmphasis } from "./emphasis_repair.js";

const QUOTES = { '"': '"', "“": "”", "「": "」", "『": "』", "«": "»" };
const OPENS = new Map(Object.entries(OPEN).map(([kind, mark]) => [mark, kind]));
const CLOSES = new Map(Object.entries(CLOSE).map(([kind, mark]) => [mark, kind]));
const ESCAPED = /^\\[!-/:-@[-`{-~]/;
const RULE = /^ {0,3}([*_-])( *\1){2,} *$/;

/** Split one paragraph into runs: [{ text, marks: ["em", "speech", ...] }], outermost mark first. */
export function spans(paragraph) {
  const repaired = repairEmphasis(paragraph);
  const runs = [];
  let marks = [];
  let closer = "";
  let text = "";
  const flush = () => {
    if (text) runs.push({ text, marks });
    text = "";
  };
  const push = (mark) => {
    flush();
    marks = [...marks, mark];
  };
  const popTo = (mark) => {
    flush();
    marks = marks.slice(0, marks.lastIndexOf(mark));
    if (!marks.includes("speech")) closer = "";
  };
  for (let i = 0; i < repaired.length; i += 1) {
    const letter = repaired[i];
    const speaking = closer && marks.at(-1) === "speech";
    if (OPENS.has(letter)) {
      push(OPENS.get(letter));
    } else if (CLOSES.has(letter)) {
      popTo(CLOSES.get(letter));
    } else if (ESCAPED.test(repaired.slice(i, i + 2))) {
      i += 1;
      text += repaired[i];
    } else if (speaking && letter === closer) {
      text += letter;
      popTo("speech");
    } else if (speaking && letter === "\n" && repaired.lastIndexOf(closer) < i) {
      popTo("speech");
      text += letter;
    } else if (!closer && QUOTES[letter] && !(letter === '"' && /\p{Nd}$/u.test(repaired.slice(0, i)))) {
      push("speech");
      closer = QUOTES[letter];
      text += letter;
    } else {
      text += letter;
    }
  }
  flush();
  return runs;
}

/** Make `element` show `text`; paragraphs that did not change are left alone. */
export function draw(element, text) {
  const blocks = text.split(/\n{2,}/).filter((block) => block.trim());
  while (element.childNodes.length > blocks.length) element.lastChild.remove();
  blocks.forEach((block, index) => {
    const old = element.childNodes[index];
    if (old && old.drawnFrom === block) return;
    const fresh = RULE.test(block) ? document.createElement("hr") : paragraphElement(block.trim());
    fresh.drawnFrom = block;
    if (old) old.replaceWith(fresh);
    else element.append(fresh);
  });
}

function paragraphElement(block) {
  const element = document.createElement("p");
  for (const run of spans(block)) element.append(runElement(run));
  return element;
}

function runElement({ text, marks }) {
  const lines = text.split("\n");
  let node = document.createDocumentFragment();
  lines.forEach((line, index) => {
    if (index) node.append(document.createElement("br"));
    node.append(line);
  });
  for (const mark of [...marks].reverse()) {
    const wrap = document.createElement(mark === "speech" ? "span" : mark);
    if (mark === "speech") wrap.className = "speech";
    wrap.append(node);
    node = wrap;
  }
  return node;
}
