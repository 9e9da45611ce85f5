/* The announcement on pages without a live connection: it can be dismissed without loading the page again. */
import { Announcement } from "../lib/announcement.js";

const form = document.getElementById("announcement");
if (form) new Announcement(form);
