/* A search field, and perhaps tags, over a list whose items say their words in data-words and data-tags. Nothing is asked
   of the server. Escape empties the field. Without script neither is there, and the list is whole. */

/** Bring a `.search` to life; `tags` is the group of tag buttons, or null. */
export function sieve(search, tags) {
  const list = document.getElementById(search.dataset.searches);
  const none = document.getElementById(`${search.dataset.searches}-none`);
  const field = search.querySelector("input");
  const items = [...list.children].map((item) => ({
    item,
    words: plain(item.dataset.words),
    tags: new Set((item.dataset.tags ?? "").split("\n")),
  }));
  const chosen = new Set();

  function sift() {
    const wanted = plain(field.value).split(" ").filter(Boolean);
    let n = 0;
    for (const one of items) {
      const fits = wanted.every((word) => one.words.includes(word)) && [...chosen].every((tag) => one.tags.has(tag));
      one.item.hidden = !fits;
      n += fits;
    }
    none.hidden = n > 0;
  }

  field.addEventListener("input", sift);
  field.addEventListener("keydown", (event) => {
    if (event.key !== "Escape" || !field.value) return;
    field.value = "";
    sift();
  });
  tags?.addEventListener("click", (event) => {
    const tag = event.target.closest("[data-tag]");
    if (!tag) return;
    const on = tag.getAttribute("aria-pressed") !== "true";
    tag.setAttribute("aria-pressed", String(on));
    chosen[on ? "add" : "delete"](tag.dataset.tag);
    sift();
  });
  search.hidden = false;
  if (tags) tags.hidden = false;
  sift();  // a browser may bring back what was written here before
}

/** Words as people search for them: case, width and accents do not count. */
function plain(text) {
  return text.normalize("NFKD").replace(/\p{M}/gu, "").toLowerCase().replace(/\s+/g, " ").trim();
}
