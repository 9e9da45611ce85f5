/* Live titles of the stories in a list: one that the model gives, or another window, appears without a reload. The line is
   open only while the page is seen. What it refuses to know: what else stands in a list; it comes from the server. */

import { Socket } from "../chat/socket.js";
import { fillTimes } from "./times.js";
import { listen } from "./page_scope.js";

const linkOf = (page, story) => page.querySelector(`a.story-link[data-chat="${CSS.escape(story)}"]`);

/** Keep the links of all stories on this page as the server has them. */
export function followTitles() {
  if (!document.querySelector("a.story-link[data-chat]")) return;
  const socket = new Socket("/ws");
  let isFirst = true;
  socket.addEventListener("message", ({ detail }) => detail.type === "titled" && renew([detail.story]));
  socket.addEventListener("up", () => {
    if (!isFirst) renew([...document.querySelectorAll("a.story-link[data-chat]")].map((link) => link.dataset.chat));
    isFirst = false; // what was missed while the line was down
  });
  listen(document, "visibilitychange", () => document.hidden && socket.end());
  if (!document.hidden) socket.connect();
}

async function renew(stories) {
  if (!stories.some((story) => linkOf(document, story))) return;
  const answer = await fetch(location.href).catch(() => null);
  if (!answer?.ok || answer.redirected) return;
  const page = new DOMParser().parseFromString(await answer.text(), "text/html");
  for (const story of stories) renewLink(page, story);
}

function renewLink(page, story) {
  const [link, fresh] = [linkOf(document, story), linkOf(page, story)];
  if (!link || !fresh) return;
  const [field, kept] = [link, fresh].map((one) => one.parentElement.querySelector("[name=title]")); // to rename it
  if (field && field !== document.activeElement) field.value = kept.value;
  fillTimes(fresh);
  link.replaceChildren(...fresh.children);
}
