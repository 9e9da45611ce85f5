/* Registers the service worker, when the page has loaded. Browsers have workers on https and on the machine itself only;
   everywhere else, and where a person has forbidden them, everything but the offline page works. */

const { worker } = document.querySelector("script[data-worker]").dataset;

if (navigator.serviceWorker && worker) {
  const register = () => navigator.serviceWorker.register(worker).catch(() => {});
  if (document.readyState === "complete") register();
  else addEventListener("load", register, { once: true });
}
