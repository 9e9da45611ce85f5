/* The service worker: shows the offline page when a page cannot be loaded, and does nothing else.

   What it does: keeps /offline/<language> and the assets that it needs (FILES), asked for without cookies, so nothing of
   anybody is in the cache. Only loads of pages and of these assets pass through it; pages come from the server or not at all.
   What it refuses to know: pages, pictures and data of people. It has no code that would put one into a cache.
   Its address names version and language (web/installable.py): a change of either is a new worker. */

const asked = new URL(location.href).searchParams;
const PREFIX = "inglenook-offline";
const CACHE = `${PREFIX}:${asked.get("version")}:${asked.get("language")}`;
const PAGE = `/offline/${asked.get("language")}`;
const FILES = [
  "css/base.css",
  "css/dark.css",
  "fonts/alegreya-latin-wght-normal.woff2",
  "hearth.svg",
  "icon.svg",
  "icons/touch-180.png",
  "js/lib/install.js",
  "js/pages/offline.js",
];
const ASSETS = new Set(FILES.map((path) => `/assets/${asked.get("version")}/${path}`));

addEventListener("install", (event) => event.waitUntil(keepPage().then(() => skipWaiting())));
addEventListener("activate", (event) => event.waitUntil(takeOver()));
addEventListener("fetch", (event) => {
  const { mode, method, url } = event.request;
  if (method !== "GET") return;
  if (mode === "navigate") event.respondWith(fromServer(event));
  else if (ASSETS.has(new URL(url).pathname)) event.respondWith(fromCache(event.request));
});

async function keepPage() {
  const cache = await caches.open(CACHE);
  await cache.addAll([PAGE, ...ASSETS].map((path) => new Request(path, { credentials: "omit" })));
}

/** Older caches go; a browser may ask for a page while it still wakes this worker. */
async function takeOver() {
  const names = await caches.keys();
  await Promise.all(names.filter((name) => name.startsWith(PREFIX) && name !== CACHE).map((name) => caches.delete(name)));
  await registration.navigationPreload?.enable();
  await clients.claim();
}

async function fromServer(event) {
  try {
    return (await event.preloadResponse) ?? (await fetch(event.request));
  } catch {
    return (await caches.match(PAGE)) ?? Response.error();
  }
}

async function fromCache(request) {
  return (await caches.match(request, { ignoreVary: true })) ?? fetch(request);
}
