/* Draws story text while it streams: *actions* in italics (also while still unclosed), "speech" in its own colour.
   Only textContent and element building, never innerHTML: what a model wrote stays text. web/prose.py does the same for
   finished messages; change both together. `spans` is pure. */

const QUOTES = { '"': '"', "“": "”", "「": "」", "『": "』", "«": "»" };

/** Split one paragraph into runs: [{ text, marks: ["em", "speech", ...] }], outermost mark first. */
export function spans(paragraph) {
  const runs = [];
  const marks = [];
  let closer = "";
  let text = "";
  const flush = () => {
    if (text) runs.push({ text, marks: [...marks] });
    text = "";
  };
  const toggle = (mark) => {
    flush();
    const at = marks.indexOf(mark);
    if (at < 0) marks.push(mark);
    else marks.splice(at, 1);
  };
  for (let i = 0; i < paragraph.length; i += 1) {
    const letter = paragraph[i];
    if (letter === "*" && paragraph[i + 1] === "*") {
      toggle("strong");
      i += 1;
    } else if (letter === "*" && !isLoose(paragraph, i)) {
      toggle("em");
    } else if (closer && letter === closer) {
      text += letter;
      toggle("speech");
      closer = "";
    } else if (!closer && QUOTES[letter]) {
      toggle("speech");
      closer = QUOTES[letter];
      text += letter;
    } else {
      text += letter;
    }
  }
  flush();
  return runs;
}

/** A star with space on both sides, or a list's bullet, is just a star. */
function isLoose(text, i) {
  const before = text[i - 1] ?? "\n";
  const after = text[i + 1] ?? "";
  return /\s/.test(before) && /\s/.test(after);
}

/** Make `element` show `text`; paragraphs that did not change are left alone. */
export function draw(element, text) {
  const blocks = text.split(/\n{2,}/).filter((block) => block.trim());
  while (element.childNodes.length > blocks.length) element.lastChild.remove();
  blocks.forEach((block, index) => {
    const old = element.childNodes[index];
    if (old && old.drawnFrom === block) return;
    const paragraph = document.createElement("p");
    paragraph.drawnFrom = block;
    for (const run of spans(block)) paragraph.append(build(run));
    if (old) old.replaceWith(paragraph);
    else element.append(paragraph);
  });
}

function build({ text, marks }) {
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
