/* Small values in localStorage, per chat: the draft, the unsent command, open panels. They survive a reload. */

const name = (what, chat) => `inglenook:${what}:${chat}`;

/** The kept value, or null. Storage may be switched off; then nothing survives and everything else works. */
export function load(what, chat) {
  try {
    return JSON.parse(localStorage.getItem(name(what, chat)));
  } catch {
    return null;
  }
}

/** Keep a value; null or an empty text forgets it. */
export function store(what, chat, value) {
  try {
    if (value === null || value === "") localStorage.removeItem(name(what, chat));
    else localStorage.setItem(name(what, chat), JSON.stringify(value));
  } catch { /* see load */ }
}
