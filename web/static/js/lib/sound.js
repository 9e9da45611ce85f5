/* Two soft notes, made here: a fifth, each struck like a small bell and gone after a second. Browsers let a page sound
   only after a person has touched it, so the sound wakes with the first press. */

const NOTES_HZ = [587.33, 880];
const APART_S = 0.16;
const RINGS_S = 1.1;
const LOUD = 0.06;

export class Chime {
  #context = null;

  constructor() {
    for (const touch of ["pointerup", "keydown"]) addEventListener(touch, () => this.#wake());
  }

  /** Sound once; nothing is heard on a page that nobody has touched. */
  play() {
    if (!this.#context) return;
    NOTES_HZ.forEach((hz, number) => strike(this.#context, hz, this.#context.currentTime + number * APART_S));
  }

  #wake() {
    this.#context ??= new AudioContext();
    if (this.#context.state !== "running") this.#context.resume();
  }
}

function strike(context, hz, at) {
  const note = new OscillatorNode(context, { frequency: hz });
  const gain = new GainNode(context, { gain: 0 });
  gain.gain.setValueAtTime(0, at);
  gain.gain.linearRampToValueAtTime(LOUD, at + 0.015);
  gain.gain.exponentialRampToValueAtTime(LOUD / 500, at + RINGS_S);
  note.connect(gain).connect(context.destination);
  note.start(at);
  note.stop(at + RINGS_S);
}
