/* The toast: a short message that disappears after some seconds, perhaps with an undo button. */

const STAYS_MS = 8000;

export class Toast {
  #timer = 0;
  #undo = null;

  constructor(composer) {
    this.composer = composer;
    this.root = document.getElementById("toast");
    this.words = document.getElementById("toast-words");
    this.button = document.getElementById("undo");
    this.button.addEventListener("click", () => {
      const undo = this.#undo;
      this.hide();
      undo?.();
    });
    this.root.addEventListener("pointerenter", () => clearTimeout(this.#timer));
    this.root.addEventListener("pointerleave", () => this.#startTimer());
  }

  /** `undo`: what the button does; without one there is no button. */
  show(words, undo = null) {
    this.#undo = undo;
    this.words.textContent = words;
    this.button.hidden = !undo;
    this.root.hidden = false;
    if (undo) this.button.focus({ preventScroll: true });
    this.#startTimer();
  }

  hide() {
    clearTimeout(this.#timer);
    if (this.root.contains(document.activeElement) && !matchMedia("(pointer: coarse)").matches) this.composer.focus();
    this.root.hidden = true;
  }

  #startTimer() {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.hide(), STAYS_MS);
  }
}
