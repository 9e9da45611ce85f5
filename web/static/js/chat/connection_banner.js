/* The connection banner (offline, retry countdown), and the two requests of the chat page that need no web socket. */

import { t } from "../lib/i18n.js";

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

/** The button for the messages before those on the page. */
export function offerEarlierMessages(story, chat, say) {
  story.earlier.addEventListener("click", async () => {
    const answer = await fetch(`/chat/${chat}/messages?before=${story.firstOrdinal}`, JSON_ONLY).catch(() => null);
    if (!answer?.ok) return say(t("The earlier messages could not be loaded: try again."));
    const { messages, earlier } = await answer.json();
    story.prependOlder(messages);
    return story.setEarlier(earlier);
  });
}

/** The handshake does not say why it was refused; a page does. */
async function reloadIfSignedOut(chat) {
  const answer = await fetch(`/chat/${chat}/messages?before=0`, JSON_ONLY).catch(() => null);
  if (answer && (answer.status === 401 || answer.status === 404)) location.reload();
}
