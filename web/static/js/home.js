/* The library: lists that get shorter while one types, tags to choose from, and times. */
import { sieve } from "./sieve.js";
import { tellTimes } from "./times.js";

tellTimes(document);
for (const search of document.querySelectorAll(".search")) sieve(search, document.getElementById("tags"));
