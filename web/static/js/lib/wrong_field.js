/* A form that came back: the first field in which something is wrong gets the focus. */

/** `autofocus` does nothing where the address names a part of the page, and going there takes the focus away, at the end. */
export function focusWrong() {
  const field = document.querySelector("main [aria-invalid=true]");
  if (!field) return;
  if (document.readyState === "complete") field.focus();
  else addEventListener("load", () => requestAnimationFrame(() => field.focus()));
}
