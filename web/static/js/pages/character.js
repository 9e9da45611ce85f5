/* The choice of a persona: the name follows the persona until the person has written another one. */
const name = document.getElementById("as");
const personas = document.getElementById("personas");
let proposed = name.value;

personas.addEventListener("change", (event) => {
  if (name.value.trim() && name.value !== proposed) return;
  proposed = name.value = event.target.dataset.name;
});
