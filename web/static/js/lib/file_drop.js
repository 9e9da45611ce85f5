/* Drag and drop of files: while files are dragged over the page a drop zone covers it; dropped files go into the form with
   [data-drop], which is sent. Without such a form nothing happens.
   Size check before the upload: files that are too large together (data-bytes) are not sent; the server would refuse all. */

import { tn } from "./i18n.js";

const MB = 2 ** 20;
const form = document.querySelector("form[data-drop]");
const field = form?.querySelector("input[type=file]");
const zone = document.getElementById("dropzone");
let depth = 0;  // entering a child is an enter and a leave

const hasFiles = (event) => [...(event.dataTransfer?.types ?? [])].includes("Files");

function showZone(on) {
  zone.hidden = !on;
  if (!on) depth = 0;
}

/** Whether the files may come at once; if not, a sentence says why, beside the field or, where none is seen, above. */
function checkSize() {
  const [size, most] = [[...field.files].reduce((sum, file) => sum + file.size, 0), Number(form.dataset.bytes)];
  document.getElementById("too-much")?.remove();
  if (size <= most) return true;
  const note = document.createElement("p");
  note.id = "too-much";
  note.classList.add("banner", "refused");
  note.setAttribute("role", "alert");
  note.dataset.testid = "too-much";
  note.textContent = tn(
    "This file is too large: it has {size} MB, and at most {most} MB can come at once.",
    "These {n} files have {size} MB together, and at most {most} MB can come at once: choose fewer.",
    field.files.length,
    { size: Math.ceil(size / MB), most: Math.floor(most / MB) },
  );
  const heading = document.querySelector("main h1");
  if (form.hidden) (heading.closest(".over") ?? heading).after(note);
  else field.closest(".field").append(note);
  note.scrollIntoView({ block: "nearest" });
  return false;
}

if (form && zone) {
  field.addEventListener("change", checkSize);
  form.addEventListener("submit", (event) => checkSize() || event.preventDefault());
  document.addEventListener("dragenter", (event) => {
    if (!hasFiles(event)) return;
    event.preventDefault();
    depth += 1;
    showZone(true);
  });
  document.addEventListener("dragover", (event) => {
    if (hasFiles(event)) event.preventDefault();
  });
  document.addEventListener("dragleave", (event) => {
    if (!hasFiles(event)) return;
    depth -= 1;
    if (depth <= 0) showZone(false);
  });
  document.addEventListener("drop", (event) => {
    if (!hasFiles(event)) return;
    event.preventDefault();
    showZone(false);
    if (!event.dataTransfer.files.length) return;
    field.files = event.dataTransfer.files;
    form.requestSubmit();
  });
  globalThis.addEventListener("pageshow", () => showZone(false));
}
