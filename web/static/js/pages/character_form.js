/* The character form: rows that can be added and removed, and a preview of the chosen picture. */

for (const list of document.querySelectorAll("[data-list]")) rows(list);

function rows(list) {
  const items = list.querySelector("[data-items]");
  const blank = list.querySelector("template");
  const add = list.querySelector("[data-add]");
  const showAll = () => {
    for (const button of items.querySelectorAll("[data-remove]")) button.hidden = false;
    add.hidden = items.querySelectorAll("[data-item]").length >= Number(add.dataset.max);
  };
  add.addEventListener("click", () => {
    items.append(blank.content.cloneNode(true));
    showAll();
    items.lastElementChild.querySelector("input:not([type=hidden]), textarea").focus();
  });
  items.addEventListener("click", (event) => {
    const item = event.target.closest("[data-remove]")?.closest("[data-item]");
    if (!item) return;
    const next = item.nextElementSibling ?? item.previousElementSibling;
    item.remove();
    showAll();
    (next?.querySelector("[data-remove]") ?? add).focus();
  });
  showAll();
}

const picture = document.getElementById("picture");
const likeness = document.getElementById("likeness");
const hint = document.getElementById("picture-hint");

picture.addEventListener("change", async () => {
  const file = picture.files[0];
  hint.classList.remove("wrong");
  picture.setCustomValidity("");
  if (!file) return;
  try {
    if (file.size > Number(picture.dataset.limit)) throw new RangeError("too large");
    const image = await createImageBitmap(file);
    const canvas = document.createElement("canvas");
    const side = Math.min(image.width, image.height);
    canvas.width = canvas.height = 480;
    const top = (image.height - side) / 4;
    canvas.getContext("2d").drawImage(image, (image.width - side) / 2, top, side, side, 0, 0, 480, 480);
    likeness.replaceChildren(canvas);
  } catch {
    hint.classList.add("wrong");
    picture.setCustomValidity(hint.textContent);
    picture.reportValidity();
  }
});
