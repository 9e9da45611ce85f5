/* Dates and times in the reader's own time zone and locale. */

import { t } from "./i18n.js";

/** The language of the page, in the reader's own manner if that is one of theirs. */
const PAGE = document.documentElement.lang;
export const LOCALE = navigator.languages.find((one) => one.split("-")[0] === PAGE.split("-")[0]) ?? PAGE;

/** Fill every <time data-epoch> below `root`. */
export function fillTimes(root) {
  for (const time of root.querySelectorAll("time[data-epoch]")) {
    const date = new Date(Number(time.dataset.epoch) * 1000);
    time.dateTime = date.toISOString();
    time.title = date.toLocaleString(LOCALE);
    time.textContent = time.dataset.style === "ago" ? relativeTime(date) : clockTime(date);
  }
}

function clockTime(date) {
  const today = date.toDateString() === new Date().toDateString();
  const hour = { hour: "2-digit", minute: "2-digit" };
  return today ? date.toLocaleTimeString(LOCALE, hour) : date.toLocaleString(LOCALE, { day: "numeric", month: "short", ...hour });
}

function relativeTime(date) {
  const words = new Intl.RelativeTimeFormat(LOCALE, { numeric: "auto" });
  const minutes = Math.round((date - Date.now()) / 60000);
  if (minutes > -1) return t("just now");
  if (minutes > -60) return words.format(minutes, "minute");
  if (minutes > -60 * 24) return words.format(Math.round(minutes / 60), "hour");
  const days = Math.round(minutes / 60 / 24);
  if (days > -60) return words.format(days, "day");
  if (days > -720) return words.format(Math.round(days / 30.4), "month");
  return words.format(Math.round(days / 365.25), "year");
}
