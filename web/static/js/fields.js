/* The facts of a status as a list: time, place, mood. Only textContent: what a model wrote stays text. */

export const valueOf = ({ value, unit }) => `${value}${unit ? ` ${unit}` : ""}`;

export function fieldList(status) {
  const list = document.createElement("dl");
  list.className = "fields";
  for (const field of status) {
    const row = document.createElement("div");
    const name = document.createElement("dt");
    const value = document.createElement("dd");
    name.textContent = field.name;
    value.textContent = valueOf(field);
    row.append(name, value);
    list.append(row);
  }
  return list;
}
