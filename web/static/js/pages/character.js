/* The page of a character: the choice of a persona (the name follows it until the person has written another one), and how
   the story begins for that persona and name: the greetings, one at a time. The one that is shown is the one that it begins
   with. */

const name = document.getElementById("as");
const personas = document.getElementById("personas");
const openings = document.getElementById("openings");
const flip = document.getElementById("flip");
const count = document.getElementById("opening-count");
const chosen = document.getElementById("opening-chosen");
const TYPING_MS = 300;
let proposed = name.value;
let asked = 0;
let typing = 0;

/** Show the greeting at `position`, counted around. */
function show(position) {
  const all = [...openings.querySelectorAll("[data-opening]")];
  const shown = (position + all.length) % all.length;
  all.forEach((one, place) => one.toggleAttribute("data-shown", place === shown));
  chosen.value = shown;
  flip.hidden = all.length < 2;
  count.textContent = `${shown + 1}/${all.length}`;
}

/** Ask how the story begins for the persona and the name that are chosen now; a late answer counts no more. */
async function preview() {
  const turn = ++asked;
  const persona = personas.querySelector("input:checked").value;
  const query = new URLSearchParams({ persona, name: name.value.trim() });
  const answer = await fetch(`${openings.dataset.url}?${query}`).catch(() => null);
  if (!answer?.ok || answer.redirected || turn !== asked) return; // redirected: signed out meanwhile
  const html = await answer.text();
  if (turn !== asked) return;
  openings.innerHTML = html;
  show(Number(chosen.value));
}

personas.addEventListener("change", (event) => {
  if (!name.value.trim() || name.value === proposed) proposed = name.value = event.target.dataset.name;
  if (openings) preview();
});
if (openings) {
  show(0);
  name.addEventListener("input", () => {
    clearTimeout(typing);
    typing = setTimeout(preview, TYPING_MS);
  });
  flip.addEventListener("click", (event) => {
    const step = event.target.closest("button")?.dataset.step;
    if (step) show(Number(chosen.value) + Number(step));
  });
  const { checked, value } = personas.querySelector("input:checked");
  if ((checked && value) || name.value !== proposed) preview(); // a browser that comes back keeps what was chosen
}
