/* On the plain pages: the line for everybody can be put away without loading the page again. */
import { Announcement } from "../lib/announcement.js";

const form = document.getElementById("announcement");
if (form) new Announcement(form);
