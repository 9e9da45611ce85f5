/* The line that says which model this character wants, while another one answers. */

const parts = (hint) => hint.split(/[,，、]/).map((part) => part.trim().toLowerCase()).filter(Boolean);

/** `models`: the names of those that answer, "" while there is none (then nothing is said). As store/wanted_model.py. */
export function showWantedModel(line, models) {
  if (!line) return;
  line.hidden = !models || parts(line.dataset.wants).some((part) => models.toLowerCase().includes(part));
}
