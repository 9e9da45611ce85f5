/* Swipes: a finger moved sideways over a message of the storyteller asks for its next alternative (to the left) or its
   previous one (to the right). Scrolling, selected words, boxes that scroll by themselves and the edges of the screen, where
   browsers go back, are left alone. It refuses to know what an alternative is: `swiped(element, step)`, with step 1 or -1. */

const DECIDED_PX = 12;
const ENOUGH_PX = 64;
const EDGE_PX = 24;
const LIMIT_PX = 48; // so far the message follows the finger
const ALONE = "pre, table, button, a, input, textarea, .edit, .why, .facts";

export class Swipes {
  #touch = null; // { element, body, x, y, dx, sideways }

  constructor(list, swiped) {
    this.swiped = swiped;
    list.addEventListener("touchstart", (event) => this.#begin(event), { passive: true });
    list.addEventListener("touchmove", (event) => this.#move(event), { passive: true });
    list.addEventListener("touchend", () => this.#end());
    list.addEventListener("touchcancel", () => this.#reset());
  }

  #begin({ touches, target }) {
    this.#reset();
    const element = target.closest?.('.message:is([data-role="character"], [data-role="narrator"])');
    const { clientX: x, clientY: y } = touches[0];
    const atEdge = x < EDGE_PX || x > window.innerWidth - EDGE_PX;
    if (touches.length > 1 || !element || atEdge || target.closest(ALONE) || !getSelection().isCollapsed) return;
    this.#touch = { element, body: element.querySelector(".body"), x, y, dx: 0, sideways: false };
  }

  #move({ touches }) {
    if (!this.#touch) return;
    if (touches.length > 1) return this.#reset();
    const touch = this.#touch;
    touch.dx = touches[0].clientX - touch.x;
    const dy = Math.abs(touches[0].clientY - touch.y);
    if (!touch.sideways && dy > DECIDED_PX && dy > Math.abs(touch.dx)) return this.#reset();
    touch.sideways ||= Math.abs(touch.dx) > DECIDED_PX && Math.abs(touch.dx) > 2 * dy;
    if (touch.sideways) touch.body.style.translate = `${Math.max(-LIMIT_PX, Math.min(LIMIT_PX, touch.dx / 2))}px`;
    return undefined;
  }

  #end() {
    const touch = this.#touch;
    this.#reset();
    if (touch?.sideways && Math.abs(touch.dx) >= ENOUGH_PX) this.swiped(touch.element, touch.dx < 0 ? 1 : -1);
  }

  #reset() {
    if (this.#touch) this.#touch.body.style.translate = "";
    this.#touch = null;
  }
}
