/* A part of a page that comes anew by itself: the page asks for its own address and takes the same part out of the answer. Without
   network the last numbers stay, and the part says that they are old. */

"use strict";

(() => {
  const PATIENCE = 10000; // ms for one try
  const part = () => document.querySelector("[data-live]");

  const lost = (is) => {
    for (const said of part().querySelectorAll("[data-lost]")) said.hidden = !is;
    for (const said of part().querySelectorAll("[data-good]")) said.hidden = is;
  };

  const ask = async () => {
    const answer = await fetch(location.href, { redirect: "manual", cache: "no-store", signal: AbortSignal.timeout(PATIENCE) });
    if (answer.ok) {
      const fresh = new DOMParser().parseFromString(await answer.text(), "text/html").querySelector("[data-live]");
      const read = part().contains(document.activeElement); // what has the focus stays where it is
      if (fresh && !read) part().replaceWith(document.importNode(fresh, true));
    } else if (answer.status < 500 && answer.status !== 429) {
      location.reload(); // log in again, or gone: the server's own page says so
    } else {
      lost(true);
    }
  };

  const look = () => { if (!document.hidden) ask().catch(() => lost(true)); };
  setInterval(look, Number(part().dataset.every) * 1000);
  window.addEventListener("online", look);
  document.addEventListener("visibilitychange", look);
})();
