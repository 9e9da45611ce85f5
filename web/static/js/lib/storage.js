/* Small things that must survive a reload, per chat: the draft, and a message that was sent but not yet acknowledged. */

const name = (what, chat) => `inglenook:${what}:${chat}`;

/** The kept value, or null. Storage may be switched off; then nothing survives and everything else works. */
export function recall(what, chat) {
  try {
    return JSON.parse(localStorage.getItem(name(what, chat)));
  } catch {
    return null;
  }
}

/** Keep a value; null or an empty text forgets it. */
export function keep(what, chat, value) {
  try {
    if (value === null || value === "") localStorage.removeItem(name(what, chat));
    else localStorage.setItem(name(what, chat), JSON.stringify(value));
  } catch { /* see recall */ }
}
