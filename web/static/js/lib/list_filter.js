/* A filter in the browser: a search field, and perhaps tags, over a list whose items have data-words and data-tags. No
   request to the server. Escape empties the field. Without script neither is shown, and the list is whole. */

/** Bring a `.search` to life; `tags` is the group of tag buttons, or null. */
export function filterList(search, tags) {
  const list = document.getElementById(search.dataset.searches);
  const none = document.getElementById(`${search.dataset.searches}-none`);
  const field = search.querySelector("input");
  const items = [...list.children].map((item) => ({
    item,
    words: normalized(item.dataset.words),
    tags: new Set((item.dataset.tags ?? "").split("\n")),
  }));
  const chosen = new Set();

  function applyFilter() {
    const wanted = normalized(field.value).split(" ").filter(Boolean);
    let n = 0;
    for (const one of items) {
      const fits = wanted.every((word) => one.words.includes(word)) && [...chosen].every((tag) => one.tags.has(tag));
      one.item.hidden = !fits;
      n += fits;
    }
    none.hidden = n > 0;
  }

  field.addEventListener("input", applyFilter);
  field.addEventListener("keydown", (event) => {
    if (event.key !== "Escape" || !field.value) return;
    field.value = "";
    applyFilter();
  });
  tags?.addEventListener("click", (event) => {
    const tag = event.target.closest("[data-tag]");
    if (!tag) return;
    const on = tag.getAttribute("aria-pressed") !== "true";
    tag.setAttribute("aria-pressed", String(on));
    chosen[on ? "add" : "delete"](tag.dataset.tag);
    applyFilter();
  });
  search.hidden = false;
  if (tags) tags.hidden = false;
  applyFilter();  // a browser may bring back what was written here before
}

/** Words as people search for them: case, width and accents do not count. */
function normalized(text) {
  return text.normalize("NFKD").replace(/\p{M}/gu, "").toLowerCase().replace(/\s+/g, " ").trim();
}
