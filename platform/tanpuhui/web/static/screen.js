/* The screen of a rotating code: brings each next code when it is due, takes down one that could not be replaced in time,
   and keeps the tablet awake. What only the server can tell (log in again, code withdrawn) the server's own page tells. */

"use strict";

(() => {
  const root = document.querySelector("[data-screen]");
  const PAUSE = 2000; // ms between two tries
  const PATIENCE = 6000; // ms for one try

  const clocks = () => ({ steady: performance.now(), wall: Date.now() });
  let since = { steady: 0, wall: Date.now() - performance.now() }; // when this page began to load, by both
  let { nextIn, goodFor } = root.dataset;
  let asked = -Infinity;

  /* Whichever clock has moved further: one may have stood still while the tablet slept. */
  const passed = () => Math.max(performance.now() - since.steady, Date.now() - since.wall);

  const say = (name) => { for (const part of root.querySelectorAll("[data-say]")) part.hidden = part.dataset.say !== name; };

  const show = (code) => {
    const picture = new DOMParser().parseFromString(code.svg, "image/svg+xml").documentElement;
    root.querySelector("[data-code]").replaceChildren(document.importNode(picture, true));
    root.querySelector("[data-typed]").textContent = code.typed;
    nextIn = code.next_in;
    goodFor = code.good_for;
  };

  const ask = async () => {
    const before = clocks();
    asked = before.steady;
    const answer = await fetch(root.dataset.screen, {
      headers: { Accept: "application/json" }, redirect: "manual", cache: "no-store", signal: AbortSignal.timeout(PATIENCE),
    });
    if (answer.ok) {
      show(await answer.json());
      since = before;
    } else if (answer.status < 500 && answer.status !== 429) {
      location.reload();
    }
  };

  const tick = () => {
    if (passed() >= nextIn && performance.now() - asked >= PAUSE) ask().catch(() => {}).finally(look); // no network: again soon
    look();
  };
  const look = () => say(passed() < goodFor ? "good" : "lost");

  const stayAwake = () => { if (!document.hidden) navigator.wakeLock?.request("screen").catch(() => {}); };

  setInterval(tick, 500);
  for (const event of ["online", "pageshow"]) window.addEventListener(event, tick);
  document.addEventListener("visibilitychange", () => { tick(); stayAwake(); });
  stayAwake();
})();
