/* A status (time, place, mood) as a definition list. XSS-safe: only textContent, so what a model wrote stays text. */

import { t } from "./i18n.js";

/** What a character without fields of its own has. */
const USUAL = { __proto__: null, Mood: t("Mood"), Place: t("Place") };

/** The words of a status that fit on a button: what is no number. */
export const briefValues = (status) => status.filter(({ value }) => typeof value === "string").map(valueOf);

export const valueOf = ({ value, unit }) => `${value}${unit ? ` ${unit}` : ""}`;

export function factList(status) {
  const list = document.createElement("dl");
  list.className = "fields";
  for (const field of status) {
    const row = document.createElement("div");
    const name = document.createElement("dt");
    const value = document.createElement("dd");
    name.textContent = USUAL[field.name] ?? field.name;
    value.textContent = valueOf(field);
    row.append(name, value);
    if (field.unit === "%") addBar(row, field.value);
    list.append(row);
  }
  return list;
}

/** A bar under the fact; drawn by the style, for a list of facts has only names and values in it. */
function addBar(row, percent) {
  row.className = "filled";
  row.style.setProperty("--full", `${Math.min(100, Math.max(0, Number(percent) || 0))}%`);
}
