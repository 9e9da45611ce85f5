/* The first page: only the times are told by script. */
import { tellTimes } from "./times.js";

tellTimes(document);
