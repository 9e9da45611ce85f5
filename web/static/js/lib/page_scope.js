/* The scope of a page (AbortController): listeners of document and window that end when another story takes the page's
   place without a load (chat/switching.js). Listeners of elements need none: they go with their elements. */

let scope = new AbortController();

/** `target.addEventListener`, until the page's content is replaced. */
export function listen(target, type, handler, options = {}) {
  target.addEventListener(type, handler, { ...options, signal: scope.signal });
}

/** End all of them; what is listened to from now on belongs to the new content. */
export function endScope() {
  scope.abort();
  scope = new AbortController();
}
