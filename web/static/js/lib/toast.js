/* A few words that go away by themselves, perhaps with a way back. */

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
    this.root.addEventListener("pointerleave", () => this.#wait());
  }

  /** `undo`: what the button does; without one there is no button. */
  show(words, undo = null) {
    this.#undo = undo;
    this.words.textContent = words;
    this.button.hidden = !undo;
    this.root.hidden = false;
    if (undo) this.button.focus({ preventScroll: true });
    this.#wait();
  }

  hide() {
    clearTimeout(this.#timer);
    if (this.root.contains(document.activeElement) && !matchMedia("(pointer: coarse)").matches) this.composer.focus();
    this.root.hidden = true;
  }

  #wait() {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.hide(), STAYS_MS);
  }
}
