/* The home page and the list of all chats: the filter of a list, and times. */
import { filterList } from "../lib/list_filter.js";
import { fillTimes } from "../lib/times.js";

fillTimes(document);
for (const search of document.querySelectorAll(".search")) filterList(search, document.getElementById("tags"));
