/* Translation of the texts in scripts. The page brings the translations (templates/base.html); an English page brings none,
   for English is what stands in the code. Pure but for that one look at the page.
   To add a text: t("...") or tn("...", "...", n) with literal strings, then `make words` and its translation. */

const words = JSON.parse(globalThis.document?.getElementById("words")?.textContent ?? "{}");

/** A text of ours; {names} in it are filled from `values`. */
export function t(text, values = {}) {
  return (words[text] ?? text).replace(/\{(\w+)\}/g, (whole, name) => values[name] ?? whole);
}

/** The same for a number of things: `one` is said of a single one, in languages that tell the difference. */
export function tn(one, many, n, values = {}) {
  return t(words[one] || n === 1 ? one : many, { n, ...values });
}
