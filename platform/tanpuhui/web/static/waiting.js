/* The list of what waits on this phone, and of what became of it: a resident's own scans or, at a desk, a helper's. */

"use strict";

(() => {
  const find = (selector) => document.querySelector(selector);
  const moment = new Intl.DateTimeFormat(document.documentElement.lang, { dateStyle: "medium", timeStyle: "short", timeZone: "Asia/Shanghai" });

  const helper = find("[data-staff]")?.dataset.staff;
  const mine = (entry) => (helper === undefined ? entry.resident === localStorage.getItem("resident") : entry.staff === helper);
  const here = (entry) => Boolean(entry.staff) === (helper !== undefined) && (mine(entry) || entry.state === "waiting");

  const row = (entry) => {
    const own = mine(entry);
    const made = find(`template[data-row=${own ? entry.state : "other"}]`).content.cloneNode(true);
    const fill = (name, text) => { const place = made.querySelector(`[data-${name}]`); if (place && text) place.textContent = text; };
    fill("moment", moment.format(new Date(entry.occurred_at ?? entry.at)));
    if (!own) return made; // what another did is shown to nobody
    fill("label", entry.label);
    fill("reason", entry.reason);
    fill("next", entry.next);
    made.querySelector("[data-address]")?.setAttribute("href", entry.address);
    made.querySelector("[data-remove]")?.addEventListener("click", async () => { await queue.remove(entry.key); await show(); });
    return made;
  };

  const clear = find("[data-clear]");
  const show = async () => {
    const entries = (await queue.all()).filter(here);
    const rows = find("[data-rows]");
    rows.replaceChildren(...entries.map(row));
    for (const list of [find("[data-queue-here]"), rows]) if (list) list.hidden = !entries.length;
    if (find("[data-empty]")) find("[data-empty]").hidden = Boolean(entries.length);
    if (clear) clear.hidden = !entries.some((entry) => entry.state === "sent");
    find("[data-send]").hidden = !entries.some((entry) => entry.state === "waiting" && mine(entry));
    find("[data-login]").hidden = !entries.some((entry) => entry.held === "login" && entry.state === "waiting");
  };

  if (!("serviceWorker" in navigator && "indexedDB" in window)) return;
  navigator.serviceWorker.addEventListener("message", show);
  find("[data-send]").addEventListener("click", async () => (await navigator.serviceWorker.ready).active.postMessage("send"));
  clear?.addEventListener("click", async () => {
    for (const entry of (await queue.all()).filter(here)) if (entry.state === "sent") await queue.remove(entry.key);
    await show();
  });
  show();
})();
