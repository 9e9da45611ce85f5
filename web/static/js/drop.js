/* Files that are dragged over a page: a zone appears, and what falls into it goes into the page's form and is sent.
   Only a page with a [data-drop] form has it; who drags nothing sees nothing of it. */

const form = document.querySelector("form[data-drop]");
const zone = document.getElementById("dropzone");
let depth = 0;  // entering a child is an enter and a leave

const hasFiles = (event) => [...(event.dataTransfer?.types ?? [])].includes("Files");

function show(on) {
  zone.hidden = !on;
  if (!on) depth = 0;
}

if (form && zone) {
  document.addEventListener("dragenter", (event) => {
    if (!hasFiles(event)) return;
    event.preventDefault();
    depth += 1;
    show(true);
  });
  document.addEventListener("dragover", (event) => {
    if (hasFiles(event)) event.preventDefault();
  });
  document.addEventListener("dragleave", (event) => {
    if (!hasFiles(event)) return;
    depth -= 1;
    if (depth <= 0) show(false);
  });
  document.addEventListener("drop", (event) => {
    if (!hasFiles(event)) return;
    event.preventDefault();
    show(false);
    if (!event.dataTransfer.files.length) return;
    form.querySelector("input[type=file]").files = event.dataTransfer.files;
    form.requestSubmit();
  });
  globalThis.addEventListener("pageshow", () => show(false));
}
