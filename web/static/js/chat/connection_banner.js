/* The connection banner (offline, retry countdown), and the two requests of the chat page that need no web socket. */

import { t } from "../lib/i18n.js";

const EARLIER_AT_PX = 600; // so near the first message the ones before it are fetched
const JSON_ONLY = { headers: { Accept: "application/json" } };

/** Say when the line is down; `whenUp` is called each time that it has come up. */
export function watchConnection(socket, chat, onUp) {
  const offline = document.getElementById("offline");
  document.getElementById("reconnect").addEventListener("click", () => socket.reconnectNow());
  socket.addEventListener("up", () => {
    offline.hidden = true;
    onUp();
  });
  socket.addEventListener("down", ({ detail }) => {
    document.body.dataset.line = "down";
    offline.hidden = detail.tries < 2; // a hiccup is not worth a banner
    document.getElementById("offline-when").textContent = t("Trying again in {seconds} s.", { seconds: Math.ceil(detail.pause) });
    if (detail.tries % 3 === 0) reloadIfSignedOut(chat);
  });
}

/** The messages before those on the page come when the reader scrolls near the first one; their button is for who does
    not scroll, and to try again. */
export function offerEarlierMessages(story, chat, say) {
  let coming = false;
  const load = async () => {
    if (coming) return;
    coming = true;
    const came = await prependEarlier(story, chat, say);
    coming = false;
    if (!came) return; // the button, or scrolling back and forth, tries again
    near.unobserve(story.earlier); // observed anew it tells again, if the first message is still near
    near.observe(story.earlier);
  };
  const near = new IntersectionObserver(([entry]) => entry.isIntersecting && load(), {
    root: story.scroller,
    rootMargin: `${EARLIER_AT_PX}px 0px 0px 0px`,
  });
  story.earlier.addEventListener("click", load);
  near.observe(story.earlier);
}

/** Whether they came. */
async function prependEarlier(story, chat, say) {
  const answer = await fetch(`/chat/${chat}/messages?before=${story.firstOrdinal}`, JSON_ONLY).catch(() => null);
  if (answer?.ok) {
    const { messages, earlier } = await answer.json();
    story.prependOlder(messages);
    story.setEarlier(earlier);
  } else {
    say(t("The earlier messages could not be loaded: try again."));
  }
  return Boolean(answer?.ok);
}

/** The handshake does not say why it was refused; a page does. */
async function reloadIfSignedOut(chat) {
  const answer = await fetch(`/chat/${chat}/messages?before=0`, JSON_ONLY).catch(() => null);
  if (answer && (answer.status === 401 || answer.status === 404)) location.reload();
}
