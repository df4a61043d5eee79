/* The page that stands in for one that cannot be reached. Where that is the page of a code, the scan can be kept. */

"use strict";

(() => {
  const find = (selector) => document.querySelector(selector);
  const say = (name) => { for (const words of document.querySelectorAll("header [data-say]")) words.hidden = words.dataset.say !== name; };
  const asked = new URLSearchParams(location.search);
  const [, printed] = /^\/s\/([^/]*)$/.exec(location.pathname) ?? [];
  const KEPT = [24, 40]; // letters of a site's code and of a receipt: good whenever they are sent
  const SCREEN = 32; // a screen's or a slip's, which only the server can tell apart
  const code = (printed === "" ? asked.get("code") ?? "" : decodeURIComponent(printed ?? "")).replace(/[\s-]/g, "");

  const unsent = ["unsent", "live"].find((name) => asked.has(name));
  if (unsent) {
    say(unsent);
    find("[data-back]").hidden = false;
    return;
  }
  find("[data-retry]").href = location.href;
  const probe = async () => (await navigator.serviceWorker.ready).active.postMessage("probe");
  navigator.serviceWorker.addEventListener("message", ({ data }) => { if (data === "reachable") location.replace(location.href); });
  window.addEventListener("online", probe);
  setInterval(probe, 5000); // a network that is there may still lead nowhere
  if (KEPT.includes(code.length)) offer();
  else if (code.length === SCREEN) say("screen");

  function offer() {
    const resident = localStorage.getItem("resident");
    const key = asked.get("key") ?? crypto.randomUUID().replaceAll("-", "");
    if (!asked.has("key")) { // coming back to this page must not make a second scan of it
      asked.set("key", key);
      history.replaceState(null, "", `/s/${code}?${asked}`);
    }
    find("[data-code]").hidden = false;
    find("[data-say=known]").hidden = !resident;
    find("[data-say=unknown]").hidden = Boolean(resident);
    queue.get(key).then((known) => { if (known) location.replace("/waiting"); });
    find("[data-keep]").addEventListener("click", async () => {
      const fields = asked.has("kind") ? { kind: asked.get("kind") } : {};
      await queue.keep({ key, path: `/s/${code}`, label: "", resident, fields });
      location.replace("/waiting");
    });
  }
})();
