/* The renderer of story text while it streams: *actions* in italics (also while still unclosed), "speech" in its own colour.
   XSS-safe: only textContent and element building, never innerHTML. The twin of web/rendering/prose.py, which renders
   finished messages; change both together (tests/browser/test_prose_twins.py). `spans` is pure. */

import { CLOSE, OPEN, repairEmphasis } from "./emphasis_repair.js";

const QUOTES = { '"': '"', "“": "”", "「": "」", "『": "』", "«": "»" };
const OPENS = new Map(Object.entries(OPEN).map(([kind, mark]) => [mark, kind]));
const CLOSES = new Map(Object.entries(CLOSE).map(([kind, mark]) => [mark, kind]));
const ESCAPED = /^\\[!-/:-@[-`{-~]/;
const BEFORE_SPEECH = /[\s([{（【《]/;
const BEHIND = /[\s,;:!?)\]}，、。；：！？）】》]/;
const BEHIND_OR_DOTS = /[\s,;:!?)\]}，、。；：！？）】》.…]/;
const RULE = /^ {0,3}([*_-])( *\1){2,} *$/;

/** Split one paragraph into runs: [{ text, marks: ["em", "speech", ...] }], outermost mark first. */
export function spans(paragraph) {
  const repaired = repairEmphasis(paragraph);
  const { opens, closes } = speechBounds(repaired);
  const runs = [];
  let marks = [];
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
  };
  for (let i = 0; i < repaired.length; i += 1) {
    const letter = repaired[i];
    if (opens.has(i)) push("speech");
    if (OPENS.has(letter)) {
      push(OPENS.get(letter));
    } else if (CLOSES.has(letter)) {
      popTo(CLOSES.get(letter));
    } else if (ESCAPED.test(repaired.slice(i, i + 2))) {
      i += 1;
      text += repaired[i];
    } else {
      text += letter;
    }
    if (closes.has(i)) popTo("speech");
  }
  flush();
  return runs;
}

/** Indexes of the first and the last letter of each speech. The rules are those of _SpeechPairs in prose.py. */
function speechBounds(text) {
  const opens = new Set();
  const closes = new Set();
  const last = {};
  for (let i = 0; i < text.length; i += 1) if (!canOnlyOpen(text, i)) last[text[i]] = i;
  let depth = 0;
  let speech = null; // { start, depth, closer, lineEnd }
  const open = (start) => {
    opens.add(start);
    speech = { start, depth, closer: QUOTES[text[start]], lineEnd: null };
  };
  const close = (end) => {
    closes.add(end);
    speech = null;
  };
  for (let i = 0; i < text.length; i += 1) {
    const letter = text[i];
    if (OPENS.has(letter)) {
      depth += 1;
    } else if (CLOSES.has(letter)) {
      depth -= 1;
      if (speech && depth < speech.depth) close(i - 1);
    } else if (ESCAPED.test(text.slice(i, i + 2))) {
      i += 1;
    } else if (!speech) {
      if (begins(text, i)) open(i);
    } else if (depth === speech.depth && letter === "\n") {
      if ((last[speech.closer] ?? -1) < i) close(i - 1);
      else speech.lineEnd ??= i;
    } else if (depth === speech.depth && letter === speech.closer) {
      if (!canOnlyOpen(text, i)) {
        close(i);
      } else {
        if (speech.lineEnd === null) opens.delete(speech.start); // a stray one
        else closes.add(speech.lineEnd - 1);
        open(i);
      }
    }
  }
  if (speech) close(text.length - 1);
  return { opens, closes };
}

function begins(text, i) {
  if (!QUOTES[text[i]]) return false;
  return text[i] !== '"' || !(/\p{Nd}/u.test(before(text, i)) || canOnlyClose(text, i));
}

const canOnlyOpen = (text, i) => text[i] === '"' && BEFORE_SPEECH.test(before(text, i)) && !BEHIND.test(behind(text, i));
const canOnlyClose = (text, i) => !BEFORE_SPEECH.test(before(text, i)) && BEHIND_OR_DOTS.test(behind(text, i));

/** The neighbours of a letter: a blank where an element begins or ends; a letter where another one does. */
const before = (text, i) => (i === 0 || OPENS.has(text[i - 1]) ? " " : CLOSES.has(text[i - 1]) ? "x" : text[i - 1]);
const behind = (text, i) => (i + 1 >= text.length || CLOSES.has(text[i + 1]) ? " " : OPENS.has(text[i + 1]) ? "x" : text[i + 1]);

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
