/* The home page and the list of all chats: the filter of a list, times, and titles that stories get meanwhile. */
import { followTitles } from "../lib/titles.js";
import { filterList } from "../lib/list_filter.js";
import { fillTimes } from "../lib/times.js";

fillTimes(document);
followTitles();
for (const search of document.querySelectorAll(".search")) filterList(search, document.getElementById("tags"));
