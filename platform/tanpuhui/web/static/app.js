/* On every page of residents, and at a helper's desk: goes back to a form without emptying it, remembers whose phone this is,
   brings the service worker, and nudges it to send what waits. Without a service worker, as in some embedded views, every page
   works as it is. */

"use strict";

for (const link of document.querySelectorAll("[data-back]")) { // what was typed there is still there
  link.addEventListener("click", (event) => { if (history.length > 1) { event.preventDefault(); history.back(); } });
}

(() => {
  if (!("serviceWorker" in navigator && "indexedDB" in window)) return;
  const mark = document.querySelector("[data-resident]")?.dataset.resident;
  const helper = document.querySelector("[data-staff]");
  const before = localStorage.getItem("resident");
  const gone = document.querySelector("[data-forget]")?.dataset.forget;
  if (gone) { // this resident has just left
    queue.forget(gone);
    localStorage.removeItem("resident");
    return;
  }
  if (!mark && before === null && !helper) return; // nobody ever logged in here: nothing is kept on this phone
  if (mark !== undefined) localStorage.setItem("resident", mark);
  navigator.serviceWorker.register("/sw.js").catch(() => {}); // no network, or not wanted

  const strip = document.querySelector("[data-queue]");
  const FIRST = 10000; // ms
  const LONGEST = 300000;
  let waits = false;
  let ready = false; // some of it can be sent now, as far as is known

  const show = async () => {
    const entries = await queue.all();
    const own = localStorage.getItem("resident");
    waits = entries.some((entry) => entry.state === "waiting");
    ready = entries.some((entry) => entry.state === "waiting" && !entry.held);
    if (!strip) return;
    const scans = entries.filter((entry) => !entry.staff);
    const waiting = scans.some((entry) => entry.state === "waiting");
    strip.hidden = !waiting && !scans.some((entry) => entry.resident === own);
    for (const words of strip.querySelectorAll("[data-say]")) words.hidden = words.dataset.say !== (waiting ? "waiting" : "done");
  };

  const nudge = async () => {
    await show();
    const worker = navigator.serviceWorker;
    if (waits || !worker.controller) (await worker.ready).active.postMessage("send");
  };

  navigator.serviceWorker.addEventListener("message", show);
  window.addEventListener("online", nudge);
  window.addEventListener("pageshow", nudge);
  document.addEventListener("visibilitychange", () => { if (!document.hidden) nudge(); });

  /* What could be sent and still waits was tried in vain: each time the pause doubles. */
  const again = (pause) => setTimeout(() => {
    const now = ready && navigator.onLine && !document.hidden;
    if (now) nudge();
    again(now ? Math.min(2 * pause, LONGEST) : FIRST);
  }, pause);
  again(FIRST);
})();
