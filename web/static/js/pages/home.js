/* The library: lists that get shorter while one types, tags to choose from, and times. */
import { sieve } from "../lib/list_filter.js";
import { tellTimes } from "../lib/times.js";

tellTimes(document);
for (const search of document.querySelectorAll(".search")) sieve(search, document.getElementById("tags"));
