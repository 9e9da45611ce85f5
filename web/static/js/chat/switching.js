/* The list of stories beside a chat, on wide screens, and going from one to another without a page load (as a single-page
   application does): the new page is fetched, its body takes the place of the old one, and a new controller begins.

   What it refuses to know: what is on the page. Whatever the server does not answer with a chat page for (signed out, gone)
   is left to the browser: it loads the address. So it does when the server has other scripts than this page by now. */

import { endScope } from "../lib/page_scope.js";
import { fillTimes } from "../lib/times.js";

const WIDE = matchMedia("(min-width: 80rem)");
const PLACE = /^\/chat\/[0-9a-f]{32}$/;

export class StorySwitcher {
  #list = document.getElementById("story-list");
  #wanted = ""; // the address that is being fetched
  #shown = location.pathname;

  /** `begin(listStories)` makes and starts a controller of what is on the page now, and returns it; `listStories()` shows
      the list anew. */
  constructor(begin) {
    this.begin = () => begin(() => this.#fill());
    this.controller = this.begin();
    this.#listenToList();
    WIDE.addEventListener("change", () => this.#fill());
    window.addEventListener("popstate", () => {
      if (location.pathname !== this.#shown) this.#go(location.href, false); // else only the hash has changed
    });
    this.#fill();
  }

  #listenToList() {
    this.#list.addEventListener("click", (event) => {
      const link = event.target.closest("a");
      const plain = event.button === 0 && !event.ctrlKey && !event.metaKey && !event.shiftKey && !event.altKey;
      if (!link || !plain || !PLACE.test(link.pathname)) return;
      event.preventDefault();
      if (link.pathname !== this.#shown) this.#go(link.href, true);
    });
  }

  /** Show the newest stories, on a screen with room for them. */
  async #fill() {
    this.#list.hidden = !WIDE.matches;
    if (!WIDE.matches) return;
    const shown = this.#shown;
    const page = await fetch(`/chats/beside?open=${shown.split("/")[2]}`).catch(() => null);
    if (!page?.ok || page.redirected || shown !== this.#shown) return;
    const top = this.#list.scrollTop;
    this.#list.replaceChildren(...parsed((await page.json()).html).body.children);
    this.#list.scrollTop = top;
    fillTimes(this.#list);
  }

  async #go(address, isNew) {
    this.#wanted = address;
    this.#list.setAttribute("aria-busy", "true");
    const page = await fetch(address).catch(() => null);
    const html = page?.ok && !page.redirected ? await page.text() : null;
    if (this.#wanted !== address) return; // another one was chosen meanwhile
    const content = html && parsed(html);
    if (!content?.getElementById("story") || scriptOf(content) !== scriptOf(document)) {
      location.href = address;
      return;
    }
    if (isNew) history.pushState(null, "", address);
    this.#replace(content);
  }

  /** Put the new page in the place of the old one. The list stays, with where it was scrolled to. */
  #replace(content) {
    this.controller.end();
    endScope();
    this.#shown = location.pathname;
    document.title = content.title;
    content.getElementById("story-list").replaceWith(this.#list);
    document.body.replaceChildren(...content.body.children);
    delete document.body.dataset.line;
    this.#list.removeAttribute("aria-busy");
    this.controller = this.begin();
    this.#fill();
  }
}

/** The address of the page's own script, which names the version of the server's assets. */
function scriptOf(page) {
  return page.querySelector('script[src$="/js/chat/controller.js"]')?.getAttribute("src");
}

function parsed(html) {
  return new DOMParser().parseFromString(html, "text/html");
}
