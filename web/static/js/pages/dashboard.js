/* The admin's dashboard: its pieces stay fresh (lib/live_pieces.js). */
import { LivePieces } from "../lib/live_pieces.js";

new LivePieces(document.getElementById("board")).start();
