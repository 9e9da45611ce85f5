/* The sound of a finished reply: two soft bell notes, synthesized with Web Audio. Autoplay policy: browsers let a page sound
   only after a person has touched it, so the audio context is resumed at the first press. */

const NOTES_HZ = [587.33, 880];
const NOTE_GAP_S = 0.16;
const NOTE_S = 1.1;
const GAIN = 0.06;

export class Sound {
  #context = null;

  constructor() {
    for (const touch of ["pointerup", "keydown"]) addEventListener(touch, () => this.#resume());
  }

  /** Sound once; nothing is heard on a page that nobody has touched. */
  play() {
    if (!this.#context) return;
    NOTES_HZ.forEach((hz, number) => playNote(this.#context, hz, this.#context.currentTime + number * NOTE_GAP_S));
  }

  #resume() {
    this.#context ??= new AudioContext();
    if (this.#context.state !== "running") this.#context.resume();
  }
}

function playNote(context, hz, at) {
  const note = new OscillatorNode(context, { frequency: hz });
  const gain = new GainNode(context, { gain: 0 });
  gain.gain.setValueAtTime(0, at);
  gain.gain.linearRampToValueAtTime(GAIN, at + 0.015);
  gain.gain.exponentialRampToValueAtTime(GAIN / 500, at + NOTE_S);
  note.connect(gain).connect(context.destination);
  note.start(at);
  note.stop(at + NOTE_S);
}
