/* The admin's page of models: its pieces and lists stay fresh (lib/live_pieces.js). */
import { LivePieces } from "../lib/live_pieces.js";
import { focusWrong } from "../lib/wrong_field.js";

new LivePieces(document.getElementById("models")).start();
focusWrong();
